//! What durability costs: starts per second of the daemon beside those of the same client without
//! a store.
//!
//! Both sides list the instances, then make the same three calls for each: versions, instance,
//! upgrade. At most four are in flight per credential (rule S12), so sixteen projects with
//! credentials of their own make sixty-four.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::cli::failure::Failure;
use crate::clock;
use crate::cloud::{Cloud, SubmitOrder, Submitted};
use crate::config::{self, ProcessEnvironment};
use crate::daemon::Starts;
use crate::engine::{Command, Order, TargetState};
use crate::model::answer::Answered;
use crate::model::call::PAGE_ROWS;
use crate::model::{
    AttemptId, CampaignName, InstanceId, ProjectName, ReadAnswer, ReadCall, SubmitAnswer, TargetId,
    UpgradeBody,
};
use crate::sim::log::Keep;

use super::Figure;
use super::machine::{load_average, median};
use super::stage::{Play, Stage, broken, project_name};

const PROJECTS: usize = 16;

/// As many as the engine begins with one credential.
const IN_FLIGHT_EACH: usize = 4;

/// Of each kind, in turn.
const RUNS: usize = 3;

const WITHIN: Duration = Duration::from_secs(600);

/// # Errors
/// The machine does not let it run.
pub async fn measure(full: bool) -> Result<Figure, Failure> {
    let targets = if full { 20_000 } else { 2_000 };
    let play = Play { projects: PROJECTS, ..Play::fast(targets / PROJECTS) };
    let (mut durable, mut bare) = (Vec::new(), Vec::new());
    let load_before = load_average();
    for _ in 0..RUNS {
        durable.push(targets as f64 / with_store(&play).await?.as_secs_f64());
        bare.push(targets as f64 / without_store(&play).await?.as_secs_f64());
    }
    let (with, without) = (median(&mut durable), median(&mut bare));
    Ok(Figure {
        what: "durable starts/s ÷ the same client without a store".into(),
        measured: format!("{:.2} ({with:.0}/s ÷ {without:.0}/s)", with / without),
        budget: "≥ 0.8",
        how: format!(
            "{targets} targets, {} in flight, median of {RUNS} alternating runs; client, server \
             and store on one machine, load {load_before} before and {} after",
            PROJECTS * IN_FLIGHT_EACH,
            load_average(),
        ),
    })
}

/// From the loop's first turn until the last answer is durable.
async fn with_store(play: &Play) -> Result<Duration, Failure> {
    let stage = Stage::set(play, Keep::Nothing).await?;
    let turning = stage.turn(Starts::On).await?;
    let targets = play.projects * play.instances;
    turning
        .until("started", WITHIN, |campaign| {
            let running = campaign.counts.get(&TargetState::Running);
            running.is_some_and(|&count| count as usize >= targets)
        })
        .await?;
    // Units commit in order, and an order is answered once it is durable.
    let order = Order {
        actor: "bench".into(),
        reason: None,
        command: Command::Pause { campaign: CampaignName::from("all") },
    };
    turning.handle.order(order).await.map_err(broken("the daemon is silent"))?;
    let took = turning.began.elapsed();
    turning.end().await?;
    Ok(took)
}

/// The same calls by the same client, four in flight per project.
async fn without_store(play: &Play) -> Result<Duration, Failure> {
    let stage = Stage::set(play, Keep::Nothing).await?;
    let config =
        config::load(&stage.config(), &ProcessEnvironment).map_err(Failure::configuration)?.config;
    let cloud = Cloud::new(config.endpoints, config.secrets, "bench", Arc::new(clock::wall));
    let cloud = Arc::new(cloud.map_err(broken("no client"))?);
    let began = Instant::now();
    let mut projects = JoinSet::new();
    for number in 0..play.projects {
        projects.spawn(one_project(Arc::clone(&cloud), project_name(number).into()));
    }
    let asked: usize = projects.join_all().await.into_iter().sum();
    assert_eq!(asked, play.projects * play.instances, "the cloud lists all its instances");
    Ok(began.elapsed())
}

async fn one_project(cloud: Arc<Cloud>, project: ProjectName) -> usize {
    let instances = list(&cloud, &project).await;
    let count = instances.len();
    let mut clients = JoinSet::new();
    for first in 0..IN_FLIGHT_EACH {
        let share: Vec<InstanceId> =
            instances.iter().skip(first).step_by(IN_FLIGHT_EACH).cloned().collect();
        let (cloud, project) = (Arc::clone(&cloud), project.clone());
        clients.spawn(async move {
            for instance in share {
                start(&cloud, &project, instance).await;
            }
        });
    }
    clients.join_all().await;
    count
}

async fn list(cloud: &Cloud, project: &ProjectName) -> Vec<InstanceId> {
    let mut ids = Vec::new();
    loop {
        let page = cloud.read(project, &ReadCall::InventoryPage { offset: ids.len() }).await;
        let answer = page.expect("the simulated cloud answers").answer;
        let ReadAnswer::InventoryPage(page) = answer else { return ids };
        ids.extend(page.instances.iter().map(|instance| instance.id.clone()));
        if page.rows < PAGE_ROWS {
            return ids;
        }
    }
}

async fn start(cloud: &Cloud, project: &ProjectName, instance: InstanceId) {
    for call in [
        ReadCall::Versions { instance: instance.clone() },
        ReadCall::Instance { instance: instance.clone() },
    ] {
        cloud.read(project, &call).await.expect("the simulated cloud answers");
    }
    let target =
        TargetId { campaign: "all".into(), project: project.clone(), instance: instance.clone() };
    let order = SubmitOrder {
        attempt: AttemptId { target, round: 1, number: 1 },
        project: project.clone(),
        instance,
        body: UpgradeBody { engine: Some("latest".into()), proxy: None },
    };
    let answered = cloud.submit(&order, || Ok::<(), ()>(())).await;
    // A client whose upgrades fail would look fast.
    let is_accepted = matches!(
        &answered,
        Submitted::Answered(Answered { answer: SubmitAnswer::Accepted { .. }, .. })
    );
    assert!(is_accepted, "the simulated cloud accepts every upgrade: {answered:?}");
}
