//! Requests on their way: the sender's last check, the wire, the cloud's answer and the way back.
//! What has left arrives, whatever becomes of the process; an answer finds only the one that asked.

use super::agenda::{Arrival, Happening, Network};
use super::host::Host;
use super::met;
use crate::engine::input::SendRefusal;
use crate::engine::planted::Defect;
use crate::engine::{Input, Read, Request, Submit};
use crate::model::answer::Answered;
use crate::model::classify::CredentialForm;
use crate::model::{
    AnswerNote, AttemptId, CredentialName, InstanceId, Millis, ProjectName, ReadFailure, Steady,
    SubmitAnswer, Wall,
};
use crate::sim::world::{Fate, WorldReply};

/// How long a renewal takes.
const RENEWAL_TAKES: Millis = Millis(200);

/// One upgrade request as it met the cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpgradeCall {
    pub at: Wall,
    pub attempt: AttemptId,
    /// Its first byte left after the ticket had run out (rule S4).
    pub is_late: bool,
    pub project: ProjectName,
    pub instance: InstanceId,
    /// An upgrade began by it.
    pub applied: bool,
    /// The answer's HTTP status.
    pub status: u16,
    /// What became of the answer on its way back.
    pub fate: Fate,
}

impl UpgradeCall {
    fn new(at: Wall, submit: &Submit, begun_at: Steady, reply: &WorldReply) -> UpgradeCall {
        UpgradeCall {
            at,
            attempt: submit.attempt.clone(),
            is_late: begun_at >= submit.not_after,
            project: submit.project.clone(),
            instance: submit.instance.clone(),
            applied: reply.applied,
            status: reply.status,
            fate: reply.fate(),
        }
    }
}

impl Host {
    /// What the sender still sends where the process dies right after it handed its requests over.
    pub(super) fn send_due(&mut self) {
        for submit in self.agenda.take_sends(self.now, self.generation) {
            self.send(submit);
        }
    }

    pub(super) fn dispatch(&mut self, request: Request) {
        self.requests += 1;
        let generation = self.generation;
        match request {
            Request::Submit(submit) => {
                let at = self.now + self.mischief.sender_takes(self.requests);
                self.agenda.arrange(at, generation, Happening::Send(submit));
            }
            Request::Read(read) => {
                let at = self.now + self.mischief.wire_takes(self.requests);
                self.agenda.arrange(at, generation, Happening::Arrive(Arrival::Read(read)));
            }
            Request::Renew { credential } => {
                let at = self.now + RENEWAL_TAKES;
                self.agenda.arrange(at, generation, Happening::Renewal(credential));
            }
        }
    }

    /// The sender's last check, and the first byte (rule S4).
    pub(super) fn send(&mut self, submit: Submit) {
        let Some(now) = self.steady() else { return };
        let Some(process) = &self.process else { return };
        let why = if self.planted.has(Defect::LastCheckSkipped) {
            None
        } else if self.freeze_file {
            Some(SendRefusal::FreezeFile)
        } else if process.stopping {
            Some(SendRefusal::Stopping)
        } else if !process.engine.gate().allows(&submit.attempt.target) {
            Some(SendRefusal::GateClosed)
        } else if now >= submit.not_after {
            Some(SendRefusal::TooLate)
        } else {
            None
        };
        match why {
            Some(why) => self.give(Input::SendRefused { attempt: submit.attempt, why }),
            None if self.network == Network::Down => {
                let answer = unconnected(SubmitAnswer::NotSent);
                self.give(Input::Submitted { attempt: submit.attempt, answer });
            }
            None => {
                let at = self.now + self.mischief.wire_takes(self.requests);
                let arrival = Arrival::Upgrade(submit, now);
                self.agenda.arrange(at, self.generation, Happening::Arrive(arrival));
            }
        }
    }

    /// The cloud decides; what it says travels back, if anybody still waits.
    pub(super) fn arrive(&mut self, process: u32, arrival: Arrival) {
        let (project, form) = match &arrival {
            Arrival::Upgrade(submit, _) => (&submit.project, self.form(&submit.project)),
            Arrival::Read(read) => (&read.project, self.form(&read.project)),
        };
        let Some(policy) = self.settings.projects.get(project) else { return };
        let (id, patience) = (policy.project_id.clone(), policy.request_timeout);
        let (input, takes) = match arrival {
            Arrival::Upgrade(submit, begun_at) => {
                let Submit { attempt, instance, body, .. } = &submit;
                let name = attempt.to_string();
                let reply = self.world.upgrade(self.now, &id, instance, body, Some(&name));
                self.calls.upgrade += 1;
                self.met.decisions.insert(("submit", reply.decision));
                self.upgrade_calls.push(UpgradeCall::new(self.now, &submit, begun_at, &reply));
                let attempt = submit.attempt;
                let answer = reply.heard_of_upgrade(patience, form);
                (Input::Submitted { attempt, answer }, reply.heard_after(patience))
            }
            Arrival::Read(Read { id: read, .. }) if self.network == Network::Down => {
                let result = Err(unconnected(ReadFailure::Unreachable));
                (Input::Read { id: read, result }, Millis::ZERO)
            }
            Arrival::Read(Read { id: read, call, .. }) => {
                self.calls.count(&call);
                let reply = self.world.read(self.now, &id, &call);
                self.met.decisions.insert((met::call_kind(&call), reply.decision));
                let Answered { answer, note, server_time } = reply.heard_of_read(patience, form);
                let result = match answer {
                    Ok(answer) => Ok(Answered { answer, note, server_time }),
                    Err(answer) => Err(Answered { answer, note, server_time }),
                };
                (Input::Read { id: read, result }, reply.heard_after(patience))
            }
        };
        self.agenda.arrange(self.now + takes, process, Happening::Answer(Box::new(input)));
    }

    fn form(&self, project: &ProjectName) -> CredentialForm {
        let policy = self.settings.projects.get(project);
        let credential =
            policy.and_then(|policy| self.settings.credentials.get(&policy.credential));
        match credential {
            Some(credential) if credential.renewable => CredentialForm::Token,
            _ => CredentialForm::StaticKey,
        }
    }

    pub(super) fn renewed(&mut self, credential: CredentialName) {
        let result = if self.mischief.renewal_fails(self.requests) {
            Err(AnswerNote { status: Some(503), ..AnswerNote::default() })
        } else {
            Ok(())
        };
        self.give(Input::Renewed { credential, result });
    }
}

/// What is learned where no connection stood.
fn unconnected<T>(answer: T) -> Answered<T> {
    let message = Some("connection refused".into());
    Answered { answer, note: AnswerNote { message, ..AnswerNote::default() }, server_time: None }
}
