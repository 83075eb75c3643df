//! The protocol of one attempt, small enough to be explored whole: what is committed, what a
//! process remembers, what is on the wire, and what the cloud really does.
//!
//! Time is not counted. What takes time may take any: every message may be lost or come late, and
//! a process may die between any two steps. Two things the promise rests on are assumed, as
//! README.md states them: the cloud shows an accepted upgrade within `observe_for`, and a request
//! arrives, if ever, before `observe_for` is over, since its ticket and its client give up.

use refit::engine::TargetState as State;
use stateright::{Model, Property};

/// Attempts per round.
const ATTEMPTS: u8 = 2;

/// Numbers no process.
const NOBODY: u8 = 0;

/// Clean looks that prove that nothing started, the last after `observe_for`.
const CLEAN_LOOKS: u8 = 3;

/// One attempt: its round and its number in it.
type Attempt = (u8, u8);

/// What is on its way to the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Request {
    attempt: Attempt,
    /// The process that waits for the answer; of a dead one's sender nobody does.
    by: u8,
}

/// What the store holds of one target.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Row {
    pub state: State,
    round: u8,
    number: u8,
    /// Tasks that stood in the list when the intent was made: none of them is of this attempt.
    known_tasks: u8,
    needs_operator: bool,
    was_uncertain: bool,
}

/// How far the living process has come with a target; all of it dies with the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Memory {
    Nothing,
    /// Looked, found idle, and decided to start; nothing is written yet.
    Decided,
    /// Only by a mistake: it has sent, and nothing is written yet.
    SentEarly,
    /// The intent is committed: it may send, once.
    Ticket,
    Sent,
}

/// The upgrade that an instance shows, or does not show yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Upgrade {
    None,
    /// Runs, and nothing tells of it yet.
    Hidden,
    Running,
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Answer {
    Accepted,
    Error,
    Conflict,
    Rejected,
    /// The service did nothing, and says so: throttled, a credential, not there.
    DefiniteNo,
}

/// One target with all that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    pub row: Row,
    memory: Memory,
    clean_looks: u8,
    /// `observe_for` has passed in the life of this process.
    is_observed: bool,
    /// A dead process's sender still holds its ticket.
    ghost: Option<Attempt>,
    request: Option<Request>,
    answer: Option<(Request, Answer)>,
    upgrade: Upgrade,
    /// The versions have moved since the beginning.
    is_moved: bool,
    tasks: u8,
    /// Upgrades that the cloud ever began, by round.
    applied: [u8; 2],
    /// A request left whose intent was not on disk.
    is_sent_unwritten: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    pub targets: Vec<Target>,
    /// Counts from 1; `None` while none lives.
    process: Option<u8>,
    processes: u8,
}

/// What happens next, to which target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    Die,
    TakeOver,
    Do(usize, Deed),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Deed {
    Decide,
    Commit,
    Send,
    GhostSends,
    GhostExpires,
    RequestIsLost,
    /// The cloud takes it, and its sign shows at once or later; then it answers.
    Apply {
        is_hidden: bool,
        answer: Option<Answer>,
    },
    Refuse(Option<Answer>),
    AnswerComes,
    AnswerIsLost,
    GiveUpWaiting,
    Shows,
    TaskEnds {
        is_moved: bool,
    },
    Observe,
    Look,
    FindTwo,
    Resolve,
    Watch,
    Verify,
    Retry,
    /// Only by a defect.
    ResendBlindly,
}

/// A mistake in the protocol, which the exploration must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    None,
    ResendWithoutLooks,
    SendBeforeCommit,
    /// The new process takes an old ticket for its own.
    TicketOfTheDead,
    FirstCleanLook,
    SlotByTime,
}

/// What is explored.
pub struct Protocol {
    pub targets: usize,
    pub rounds: u8,
    pub processes: u8,
    pub mistake: Mistake,
}

impl Protocol {
    fn has(&self, mistake: Mistake) -> bool {
        self.mistake == mistake
    }

    fn deeds(&self, world: &World, at: usize) -> Vec<Deed> {
        let target = &world.targets[at];
        let mut deeds = Vec::new();
        let mut may = |deed, is_possible: bool| {
            if is_possible {
                deeds.push(deed);
            }
        };
        let is_alive = world.process.is_some();
        let (row, memory) = (&target.row, target.memory);
        may(Deed::Decide, is_alive && self.may_start(world, at));
        may(
            Deed::Commit,
            is_alive
                && matches!(memory, Memory::Decided | Memory::SentEarly)
                && row.state == State::Pending,
        );
        let is_early = self.has(Mistake::SendBeforeCommit) && memory == Memory::Decided;
        may(Deed::Send, is_alive && (memory == Memory::Ticket || is_early));
        may(Deed::GhostSends, target.ghost.is_some() && target.request.is_none());
        may(Deed::GhostExpires, target.ghost.is_some());
        may(
            Deed::GiveUpWaiting,
            is_alive && memory == Memory::Sent && row.state == State::Submitting,
        );
        if target.request.is_some() {
            deeds.push(Deed::RequestIsLost);
            deeds.extend(cloud_deeds(target));
        }
        let mut may = |deed, is_possible: bool| {
            if is_possible {
                deeds.push(deed);
            }
        };
        may(Deed::AnswerComes, target.answer.is_some_and(|(to, _)| world.process == Some(to.by)));
        may(Deed::AnswerIsLost, target.answer.is_some());
        may(Deed::Shows, target.upgrade == Upgrade::Hidden);
        for is_moved in [true, false] {
            may(Deed::TaskEnds { is_moved }, target.upgrade == Upgrade::Running);
        }
        let is_uncertain = is_alive && row.state == State::Uncertain;
        may(Deed::Observe, is_uncertain && !target.is_observed && target.is_over_on_the_way());
        may(Deed::Look, is_uncertain);
        may(Deed::FindTwo, is_uncertain && target.tasks > row.known_tasks && !row.needs_operator);
        may(Deed::Resolve, is_uncertain && row.needs_operator && target.is_over_on_the_way());
        may(
            Deed::Watch,
            is_alive && row.state == State::Running && target.upgrade == Upgrade::Ended,
        );
        may(Deed::Verify, is_alive && row.state == State::Verifying && !target.is_busy());
        may(Deed::Retry, is_alive && row.state == State::Failed && row.round < self.rounds);
        may(Deed::ResendBlindly, is_uncertain && self.has(Mistake::ResendWithoutLooks));
        deeds
    }

    /// A slot is free, the row is pending, and a look shows it idle.
    fn may_start(&self, world: &World, at: usize) -> bool {
        let takes_slot = |target: &Target| {
            let is_slow = target.row.state == State::Uncertain && self.has(Mistake::SlotByTime);
            (target.row.state.is_in_flight() && !is_slow)
                || matches!(target.memory, Memory::Decided | Memory::SentEarly)
        };
        let target = &world.targets[at];
        target.row.state == State::Pending
            && target.memory == Memory::Nothing
            && target.upgrade != Upgrade::Running
            && !world.targets.iter().any(takes_slot)
    }

    fn perform(&self, world: &mut World, at: usize, deed: Deed) {
        let process = world.process.unwrap_or_default();
        let target = &mut world.targets[at];
        match deed {
            Deed::Decide if target.is_moved => target.row.state = State::Skipped,
            Deed::Decide => target.memory = Memory::Decided,
            Deed::Commit => target.commit(),
            Deed::Send if target.memory == Memory::Decided => target.send_unwritten(process),
            Deed::Send => target.send(process),
            Deed::GhostSends => {
                let ghost = target.ghost.take();
                target.request = ghost.map(|attempt| Request { attempt, by: NOBODY });
            }
            Deed::GhostExpires => target.ghost = None,
            Deed::RequestIsLost => target.request = None,
            Deed::Apply { is_hidden, answer } => {
                target.apply(is_hidden);
                target.answer_request(answer);
            }
            Deed::Refuse(answer) => target.answer_request(answer),
            Deed::AnswerComes => target.answered(),
            Deed::AnswerIsLost => target.answer = None,
            Deed::GiveUpWaiting => target.become_uncertain(),
            Deed::Shows => target.upgrade = Upgrade::Running,
            Deed::TaskEnds { is_moved } => {
                target.upgrade = Upgrade::Ended;
                target.is_moved |= is_moved;
            }
            Deed::Observe => target.is_observed = true,
            Deed::Look => target.look(self.has(Mistake::FirstCleanLook)),
            Deed::FindTwo => target.row.needs_operator = true,
            Deed::Resolve => target.resolve(),
            Deed::Watch => target.row.state = State::Verifying,
            Deed::Verify if target.is_moved => target.row.state = State::Succeeded,
            Deed::Verify => target.row.state = State::Failed,
            Deed::Retry => target.retry(),
            Deed::ResendBlindly => target.back_to_pending(),
        }
    }

    /// Everything in memory is gone; what a sender holds may still leave.
    fn die(world: &mut World) {
        world.process = None;
        for target in &mut world.targets {
            if target.memory == Memory::Ticket {
                target.ghost = Some(target.attempt());
            }
            target.memory = Memory::Nothing;
            target.clean_looks = 0;
            target.is_observed = false;
        }
    }

    fn take_over(&self, world: &mut World) {
        world.processes += 1;
        world.process = Some(world.processes);
        for target in &mut world.targets {
            if target.row.state != State::Submitting {
                continue;
            }
            match self.has(Mistake::TicketOfTheDead) {
                true => target.memory = Memory::Ticket,
                false => target.become_uncertain(),
            }
        }
    }
}

/// What the cloud may do with the request that reaches it.
fn cloud_deeds(target: &Target) -> Vec<Deed> {
    let mut deeds = vec![Deed::Refuse(Some(Answer::Rejected)), Deed::Refuse(None)];
    deeds.extend([Answer::Error, Answer::DefiniteNo].map(|answer| Deed::Refuse(Some(answer))));
    if target.is_busy() {
        deeds.push(Deed::Refuse(Some(Answer::Conflict)));
        return deeds;
    }
    for is_hidden in [true, false] {
        for answer in [Some(Answer::Accepted), Some(Answer::Error), None] {
            deeds.push(Deed::Apply { is_hidden, answer });
        }
    }
    deeds
}

impl Target {
    fn new() -> Target {
        Target {
            row: Row {
                state: State::Pending,
                round: 1,
                number: 0,
                known_tasks: 0,
                needs_operator: false,
                was_uncertain: false,
            },
            memory: Memory::Nothing,
            clean_looks: 0,
            is_observed: false,
            ghost: None,
            request: None,
            answer: None,
            upgrade: Upgrade::None,
            is_moved: false,
            tasks: 0,
            applied: [0; 2],
            is_sent_unwritten: false,
        }
    }

    /// What the next answer is going to say.
    pub fn expected_answer(&self) -> Option<Answer> {
        self.answer.map(|(_, answer)| answer)
    }

    fn is_busy(&self) -> bool {
        matches!(self.upgrade, Upgrade::Hidden | Upgrade::Running)
    }

    /// Nothing can arrive any more, and nothing is still to show.
    fn is_over_on_the_way(&self) -> bool {
        self.request.is_none()
            && self.ghost.is_none()
            && self.memory != Memory::Ticket
            && self.upgrade != Upgrade::Hidden
    }

    fn commit(&mut self) {
        self.row.state = State::Submitting;
        self.row.number += 1;
        self.row.known_tasks = self.tasks;
        self.memory = match self.memory {
            Memory::SentEarly => Memory::Sent,
            _ => Memory::Ticket,
        };
    }

    fn send(&mut self, by: u8) {
        self.is_sent_unwritten |= self.row.state != State::Submitting;
        self.request = Some(Request { attempt: self.attempt(), by });
        self.memory = Memory::Sent;
    }

    /// The intent is written right after; a death in between leaves none.
    fn send_unwritten(&mut self, by: u8) {
        self.is_sent_unwritten = true;
        let attempt = (self.row.round, self.row.number + 1);
        self.request = Some(Request { attempt, by });
        self.memory = Memory::SentEarly;
    }

    fn attempt(&self) -> Attempt {
        (self.row.round, self.row.number)
    }

    fn apply(&mut self, is_hidden: bool) {
        if let Some(Request { attempt: (round, _), .. }) = self.request {
            self.applied[usize::from(round) - 1] += 1;
        }
        self.tasks += 1;
        self.upgrade = if is_hidden { Upgrade::Hidden } else { Upgrade::Running };
    }

    fn answer_request(&mut self, answer: Option<Answer>) {
        self.answer = self.request.take().zip(answer);
    }

    fn answered(&mut self) {
        let Some((request, answer)) = self.answer.take() else { return };
        if request.attempt != self.attempt() {
            return;
        }
        match (answer, self.row.state) {
            (Answer::Accepted, State::Submitting | State::Uncertain) => self.enter_running(),
            (Answer::Error, State::Submitting) => self.become_uncertain(),
            (Answer::Conflict, State::Submitting) if self.row.was_uncertain => {
                self.become_uncertain();
            }
            (Answer::Conflict | Answer::DefiniteNo, State::Submitting) => {
                // It is not counted.
                self.row.number -= 1;
                self.end(State::Pending);
            }
            (Answer::Rejected, State::Submitting) => self.end(State::Failed),
            _ => {}
        }
    }

    fn become_uncertain(&mut self) {
        self.row.state = State::Uncertain;
        self.row.was_uncertain = true;
        self.memory = Memory::Nothing;
    }

    fn enter_running(&mut self) {
        self.row.state = State::Running;
        self.row.needs_operator = false;
        self.forget_looks();
    }

    /// A definite "not applied", or an answer that says as much.
    fn back_to_pending(&mut self) {
        let is_last = self.row.number >= ATTEMPTS;
        self.end(if is_last { State::Failed } else { State::Pending });
    }

    fn end(&mut self, state: State) {
        self.row.state = state;
        self.row.needs_operator = false;
        self.forget_looks();
    }

    fn forget_looks(&mut self) {
        self.memory = Memory::Nothing;
        self.clean_looks = 0;
        self.is_observed = false;
    }

    fn look(&mut self, is_hasty: bool) {
        let is_task_shown = self.tasks > self.row.known_tasks && self.upgrade != Upgrade::Hidden;
        if is_task_shown && !self.row.needs_operator {
            return self.enter_running();
        }
        if is_task_shown {
            return;
        }
        let is_last = self.clean_looks + 1 >= CLEAN_LOOKS && self.is_observed;
        if is_last || is_hasty {
            return self.back_to_pending();
        }
        self.clean_looks = (self.clean_looks + 1).min(CLEAN_LOOKS - 1);
    }

    /// An operator reads the cloud's console, and says what is there.
    fn resolve(&mut self) {
        match self.tasks > self.row.known_tasks {
            true => self.enter_running(),
            false => self.back_to_pending(),
        }
    }

    fn retry(&mut self) {
        self.row.state = State::Pending;
        self.row.round += 1;
        self.row.number = 0;
        self.row.was_uncertain = false;
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let targets = (0..self.targets).map(|_| Target::new()).collect();
        vec![World { targets, process: Some(1), processes: 1 }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.process.is_some() && world.processes < self.processes {
            actions.push(Action::Die);
        }
        if world.process.is_none() {
            actions.push(Action::TakeOver);
        }
        for at in 0..world.targets.len() {
            actions.extend(self.deeds(world, at).into_iter().map(|deed| Action::Do(at, deed)));
        }
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        match action {
            Action::Die => Protocol::die(&mut world),
            Action::TakeOver => self.take_over(&mut world),
            Action::Do(at, deed) => self.perform(&mut world, at, deed),
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONCE, |_, world: &World| {
                world.targets.iter().all(|target| target.applied.iter().all(|count| *count <= 1))
            }),
            Property::always(WRITTEN, |_, world: &World| {
                world.targets.iter().all(|target| !target.is_sent_unwritten)
            }),
            Property::always(SLOT, |_, world: &World| {
                world.targets.iter().filter(|target| target.is_busy()).count() <= 1
            }),
        ]
    }
}

pub const ONCE: &str = "at most one upgrade is applied per round";
pub const WRITTEN: &str = "nothing is sent without a committed intent";
pub const SLOT: &str = "what is in flight keeps its slot";
