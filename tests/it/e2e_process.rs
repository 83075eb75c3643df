//! What may happen to the process: killed at random, stopped past the life of a ticket, out of
//! memory, panicking in any of its parts, asked to stop again and again.

use futures_util::stream::{self, StreamExt};
use refit::engine::{Fact, TargetState};
use refit::failpoint::Point;
use refit::model::{Millis, draw};
use refit::sim::world::{CallKind, Change, ChangeSpec, Decision, Span, Step};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};

use crate::e2e::{Setup, Site, until};

/// Kills in all, over as many fleets at once as there are seeds.
const KILLS: u64 = 200;
const SEEDS: [u64; 4] = [1, 2, 3, 4];

/// How long a process lives from its first line to its death.
const LIVES: (f64, f64) = (50.0, 500.0);

const TARGETS: usize = 40;

/// What the exit code says of a bug.
const BUG: i32 = 70;

/// One fleet that is under way for as long as the killing takes. Returns how many requests it had
/// sent by then.
async fn kill_at_random(seed: u64) -> usize {
    let mut setup = Setup::fleet(TARGETS)
        .with("campaigns.fleet.max_in_flight", "3")
        .with("projects.fleet.request_timeout", "\"1s\"")
        .takes(Millis(300), Millis(2_000))
        .knob("lost_answers=0.1")
        .knob("errors_after=0.1");
    setup.seed = seed;
    let site = Site::new(setup).await;
    for number in 0..KILLS / SEEDS.len() as u64 {
        let mut daemon = site.start();
        until("it is up", async || daemon.log().contains("ready").then_some(())).await;
        let (least, most) = LIVES;
        let life = least + (most - least) * draw::unit(seed, "kill", "life", number);
        // Not to wait for anything: the instant of death is what this is about.
        tokio::time::sleep(std::time::Duration::from_millis(life as u64)).await;
        daemon.kill();
    }
    let sent = site.cloud.posts().len();
    site.run_to_verdict().await;
    assert_eq!(site.cloud.applied(), TARGETS, "seed {seed}");
    sent
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_kills_at_random_send_no_second_upgrade() {
    let sent = stream::iter(SEEDS.map(kill_at_random)).buffer_unordered(SEEDS.len());
    let sent: Vec<usize> = sent.collect().await;
    println!("{KILLS} kills; {sent:?} requests until the last of them");
    assert!(sent.iter().sum::<usize>() > 0, "no process lived long enough to send anything");
}

fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // After the name, which stands in parentheses.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
}

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stood_still_past_its_tickets_life_sends_no_late_request() {
    let site = Site::new(Setup::fleet(3).with("campaigns.fleet.max_in_flight", "1")).await;
    let order = format!("{}:1:stop", Point::BeforeCheck.name());
    let mut daemon = site.start_with(&[("REFIT_FAILPOINT", &order)]);
    let pid = daemon.pid();
    until("it stands still", async || is_stopped(pid).then_some(())).await;
    let intent = async || {
        let events = site.events().await;
        events.into_iter().find(|event| matches!(event.fact, Fact::Intent { .. })).unwrap()
    };
    let intent = intent().await;
    let Fact::Intent { not_after, .. } = intent.fact else { unreachable!("it was just matched") };
    until("the ticket is over", async || (site.cloud.running.now() > not_after).then_some(()))
        .await;
    assert_eq!(site.cloud.posts().len(), 0);
    signal(pid, Signal::CONT);
    let status = site.until_rest(&mut daemon).await;
    assert_eq!(status.campaigns[0].counts.get(&TargetState::Succeeded), Some(&3));
    site.stop(daemon).await;
    let attempt = intent.attempt.unwrap().to_string();
    let posts = site.cloud.posts();
    assert!(posts.iter().all(|post| post.attempt.as_deref() != Some(&attempt)), "{posts:#?}");
    assert_eq!((posts.len(), site.cloud.applied()), (3, 3));
    let refused = |fact: &Fact| matches!(fact, Fact::SendRefused { .. });
    assert!(site.events().await.iter().any(|event| refused(&event.fact)), "{}", site.logs());
    site.judge().await;
}

/// No start is later than this after the look before it (rule S10).
const LOOK_COUNTS_FOR: Millis = Millis::from_secs(60);

/// One is sent, the next is looked at and waits for its token; then the process stands still until
/// that look is too old. Meanwhile it is frozen.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stood_still_past_its_looks_looks_again_before_it_sends() {
    let mut setup = Setup::fleet(2)
        .with("projects.fleet.upgrade_rate", "{ per_minute = 1, burst = 1 }")
        .with("campaigns.fleet.task_timeout", "\"10m\"");
    let meanwhile = Some(Span(Millis::from_secs(45)));
    setup.world.projects[0].instances[0].changes =
        vec![ChangeSpec { after: meanwhile, ..ChangeSpec::of(Change::Frozen) }];
    let site = Site::new(setup).await;
    let mut daemon = site.start();
    let looked_at = until("one was sent, and the next is looked at", async || {
        let sent = site.cloud.posts().first()?.instance.clone();
        let looks = site.cloud.calls(CallKind::Show).into_iter();
        looks.filter(|look| look.instance != sent).map(|look| look.t_wall).last()
    })
    .await;
    signal(daemon.pid(), Signal::STOP);
    let too_old = looked_at + LOOK_COUNTS_FOR + Millis::from_secs(5);
    until("the look is too old", async || (site.cloud.running.now() > too_old).then_some(())).await;
    let asked = site.cloud.requests().len();
    signal(daemon.pid(), Signal::CONT);
    let status = site.until_rest(&mut daemon).await;
    site.stop(daemon).await;
    assert!(site.cloud.requests().len() > asked, "it found out by asking");
    assert_eq!((site.cloud.posts().len(), site.cloud.applied()), (1, 1), "{status:#?}");
    assert_eq!(status.campaigns[0].counts.get(&TargetState::Skipped), Some(&1), "{status:#?}");
    site.judge().await;
}

/// One process that panics there, and one that goes on.
async fn panic_at((point, hit): (Point, u64)) {
    let site = Site::new(Setup::fleet(3)).await;
    let order = format!("{}:{hit}:panic", point.name());
    let mut daemon = site.start_with(&[("REFIT_FAILPOINT", &order)]);
    assert_eq!(daemon.exit_code().await, BUG, "{point:?}: {}", daemon.log());
    site.run_to_verdict().await;
    assert_eq!(site.cloud.applied(), 3, "{point:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_any_part_ends_the_process_and_the_next_finds_out_the_rest() {
    let panics = [
        (Point::BeforeCheck, 1),
        (Point::BeforeSend, 1),
        (Point::AfterSend, 1),
        (Point::BeforeAnswer, 8),
        (Point::BeforeCommit, 3),
        (Point::AfterCommit, 3),
        (Point::BeforeReady, 1),
    ];
    let runs = stream::iter(panics.map(panic_at)).buffer_unordered(panics.len());
    runs.collect::<Vec<()>>().await;
}

/// What the process has of addresses, in bytes.
fn addresses(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_gets_no_more_memory_ends_or_goes_on_and_loses_nothing() {
    // Answers that must be taken in whole to be cut: there is something to ask memory for.
    let setup = Setup::fleet(8)
        .knob("oversize=0.5")
        .with("projects.fleet.upgrade_rate", "{ per_second = 1, burst = 1 }");
    let site = Site::new(setup).await;
    let mut daemon = site.start();
    until("one was sent", async || (!site.cloud.posts().is_empty()).then_some(())).await;
    let pid = Pid::from_raw(daemon.pid().cast_signed());
    let maximum = getrlimit(Resource::As).maximum;
    let current = Some(addresses(daemon.pid()));
    prlimit(pid, Resource::As, Rlimit { current, maximum }).unwrap();
    let begun = site.cloud.requests().len();
    until("it ended, or asked on", async || {
        let asked = site.cloud.requests().len() - begun;
        (!daemon.is_running() || asked > 30 || site.cloud.applied() == 8).then_some(())
    })
    .await;
    println!("without memory it {}", if daemon.is_running() { "goes on" } else { "ended" });
    daemon.kill();
    site.cloud.running.world(|world| world.heal(site.cloud.running.now()));
    site.run_to_verdict().await;
    assert_eq!(site.cloud.applied(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_signals_in_the_middle_of_a_request_is_one_clean_stop() {
    let late = Step { delay: Some(Span(Millis::from_secs(5))), ..Step::from(Decision::Slow) };
    let setup = Setup::fleet(3)
        .script(CallKind::Upgrade, vec![late])
        .with("projects.fleet.request_timeout", "\"20s\"")
        .with("campaigns.fleet.max_in_flight", "1");
    let site = Site::new(setup).await;
    let mut daemon = site.start();
    until("the first request is with the cloud", async || {
        (site.cloud.posts().len() == 1).then_some(())
    })
    .await;
    for number in 0..20 {
        let which = if number % 2 == 0 { Signal::TERM } else { Signal::INT };
        signal(daemon.pid(), which);
    }
    assert_eq!(daemon.exit_code().await, 0, "{}", daemon.log());
    assert_eq!(site.cloud.posts().len(), 1);
    let events = site.events().await;
    assert!(events.iter().any(|event| matches!(event.fact, Fact::Accepted { .. })));
    site.run_to_verdict().await;
    assert_eq!((site.cloud.posts().len(), site.cloud.applied()), (3, 3));
}
