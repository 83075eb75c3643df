//! The operators' orders: pause, resume, abort, approve, promote, freeze, unfreeze, resolve, hold,
//! release, skip, retry.
//!
//! Each becomes one [`engine::Command`], goes to the daemon through its socket and prints what the
//! engine replies. The daemon names the actor from the socket's peer credentials; nothing typed
//! here can claim to be somebody else. All are idempotent.
//!
//! [`engine::Command`]: crate::engine::Command

use std::sync::Arc;

use clap::{Args, Subcommand};

use crate::api::{OrderBody, REASON_MAX_BYTES};
use crate::engine::order::{Refusal, ResumeScope, Verdict};
use crate::engine::{Command, Reply, Scope};
use crate::exit::Exit;

use super::escape;
use super::failure::Failure;
use super::moment::{self, Relative};
use super::socket::{IN_A_WHILE, SOON, Socket};
use super::{Context, target};

/// Where orders go.
const ROUTE: &str = "/v1/orders";

/// TARGET first: `--applied` would take it for its task.
const RESOLVE_USAGE: &str = "refit resolve <TARGET> --applied [TASK]\n       \
                             refit resolve <TARGET> <--not-applied|--succeeded|--failed>";

#[derive(Debug, Subcommand)]
pub enum Control {
    /// Stop starting in a campaign; what is in flight drains.
    Pause(OneCampaign),
    /// Go on with a campaign (its failures no longer count), a project or a credential.
    Resume(Resume),
    /// End a campaign for good: what is pending is cancelled, what is in flight drains.
    Abort(OneCampaign),
    /// Let a planned campaign with start = "approve" begin.
    Approve(Approve),
    /// End a bake early: the next wave opens.
    Promote(OneCampaign),
    /// Deny every start, now and until it is lifted or runs out.
    Freeze(Freeze),
    /// Lift a freeze that was ordered here.
    Unfreeze(Unfreeze),
    /// Say what became of an upgrade that Refit cannot find out by reading.
    #[command(override_usage = RESOLVE_USAGE)]
    Resolve(Resolve),
    /// Keep one target from starting.
    Hold(OneTarget),
    /// Let a held target start again.
    Release(OneTarget),
    /// Leave one target out for good; refused once it was sent.
    Skip(OneTarget),
    /// Try a target that ended once more, in a new round.
    Retry(OneTarget),
}

#[derive(Debug, Args)]
pub struct Reason {
    /// Why; stands in the ledger beside your name.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Debug, Args)]
pub struct OneCampaign {
    /// Its name in the configuration file.
    campaign: String,
    #[command(flatten)]
    reason: Reason,
}

#[derive(Debug, Args)]
pub struct OneTarget {
    /// An instance's name or id, alone or after campaign/, project/ or both.
    target: String,
    #[command(flatten)]
    reason: Reason,
}

#[derive(Debug, Args)]
#[group(id = "resumed", required = true, multiple = false, args = ["campaign", "project", "credential"])]
pub struct Resume {
    /// A paused campaign.
    campaign: Option<String>,
    /// A stopped project.
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    /// A stopped credential; it is unproven again.
    #[arg(long, value_name = "NAME")]
    credential: Option<String>,
    #[command(flatten)]
    reason: Reason,
}

#[derive(Debug, Args)]
pub struct Approve {
    /// Its name in the configuration file.
    campaign: String,
    /// The digest that `refit plan` shows: what you approve is what you saw.
    #[arg(long)]
    digest: String,
    #[command(flatten)]
    reason: Reason,
}

#[derive(Debug, Args)]
#[group(id = "scope", required = true, multiple = false, args = ["project", "campaign", "all"])]
pub struct Covered {
    /// Starts in this project.
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    /// Starts of this campaign.
    #[arg(long, value_name = "NAME")]
    campaign: Option<String>,
    /// Every start.
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Args)]
pub struct Freeze {
    #[command(flatten)]
    covered: Covered,
    /// When it ends by itself: a time, or a duration from now; else only `refit unfreeze` ends it.
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    until: Option<String>,
    #[command(flatten)]
    reason: Reason,
}

#[derive(Debug, Args)]
pub struct Unfreeze {
    #[command(flatten)]
    covered: Covered,
    #[command(flatten)]
    reason: Reason,
}

#[derive(Debug, Args)]
#[group(id = "verdict", required = true, multiple = false, args = ["applied", "not_applied", "succeeded", "failed"])]
pub struct Resolve {
    /// An instance's name or id, alone or after campaign/, project/ or both.
    target: String,
    /// The upgrade did start, as the cloud's task TASK where you know it.
    #[arg(long, value_name = "TASK", num_args = 0..=1)]
    applied: Option<Option<String>>,
    /// Nothing was started: it may be sent again.
    #[arg(long)]
    not_applied: bool,
    /// It is over, and the instance runs what was asked for.
    #[arg(long)]
    succeeded: bool,
    /// It is over and failed.
    #[arg(long)]
    failed: bool,
    #[command(flatten)]
    reason: Reason,
}

impl Covered {
    fn scope(self) -> Scope {
        match (self.project, self.campaign) {
            (Some(project), _) => Scope::Project(project.into()),
            (_, Some(campaign)) => Scope::Campaign(campaign.into()),
            (None, None) => Scope::All,
        }
    }
}

impl Resume {
    fn scope(self) -> (ResumeScope, Reason) {
        let scope = match (self.campaign, self.project, self.credential) {
            (Some(campaign), ..) => ResumeScope::Campaign(campaign.into()),
            (_, Some(project), _) => ResumeScope::Project(project.into()),
            (.., Some(credential)) => ResumeScope::Credential(credential.into()),
            (None, None, None) => unreachable!("clap requires one of the group"),
        };
        (scope, self.reason)
    }
}

impl Resolve {
    fn verdict(&self) -> Verdict {
        match &self.applied {
            Some(task) => Verdict::Applied { task: task.clone().map(Into::into) },
            None if self.not_applied => Verdict::NotApplied,
            None if self.succeeded => Verdict::Succeeded,
            None => Verdict::Failed,
        }
    }
}

/// Sends the order and prints the reply.
///
/// # Errors
/// No daemon, an unknown or ambiguous target, or the engine's refusal.
pub fn run(control: Control, context: &Context) -> Result<Exit, Failure> {
    context.block_on(async {
        let socket =
            Socket::open(&context.site).map_err(|none| none.into_refusal(&context.site))?;
        let order = order(control, &socket, context).await?;
        check_reason(order.reason.as_ref())?;
        let within = match order.command {
            Command::Abort { .. } => IN_A_WHILE,
            _ => SOON,
        };
        let reply: Reply = socket.post(within, ROUTE, &order).await?;
        let aborted = matches!(order.command, Command::Abort { .. });
        if aborted && matches!(reply, Reply::Done { changed: true, .. }) {
            context
                .output
                .say("What the cloud already runs cannot be cancelled: it is watched to its end.");
        }
        show(&reply, context)
    })
}

async fn order(control: Control, socket: &Socket, context: &Context) -> Result<OrderBody, Failure> {
    let find = async |one: OneTarget| {
        Ok::<_, Failure>((target::find(socket, &one.target).await?, one.reason))
    };
    let (command, reason) = match control {
        Control::Pause(one) => (Command::Pause { campaign: one.campaign.into() }, one.reason),
        Control::Abort(one) => (Command::Abort { campaign: one.campaign.into() }, one.reason),
        Control::Promote(one) => (Command::Promote { campaign: one.campaign.into() }, one.reason),
        Control::Approve(Approve { campaign, digest, reason }) => {
            (Command::Approve { campaign: campaign.into(), digest: digest.into() }, reason)
        }
        Control::Resume(resume) => {
            let (scope, reason) = resume.scope();
            (Command::Resume { scope }, reason)
        }
        Control::Freeze(Freeze { covered, until, reason }) => {
            let until = until.map(|until| read_until(&until, context)).transpose()?;
            (Command::Freeze { scope: covered.scope(), until }, reason)
        }
        Control::Unfreeze(Unfreeze { covered, reason }) => {
            (Command::Unfreeze { scope: covered.scope() }, reason)
        }
        Control::Resolve(resolve) => {
            let verdict = resolve.verdict();
            let target = target::find(socket, &resolve.target).await?;
            (Command::Resolve { target, verdict }, resolve.reason)
        }
        Control::Hold(one) => {
            let (target, reason) = find(one).await?;
            (Command::Hold { target }, reason)
        }
        Control::Release(one) => {
            let (target, reason) = find(one).await?;
            (Command::Release { target }, reason)
        }
        Control::Skip(one) => {
            let (target, reason) = find(one).await?;
            (Command::Skip { target }, reason)
        }
        Control::Retry(one) => {
            let (target, reason) = find(one).await?;
            (Command::Retry { target }, reason)
        }
    };
    let reason = reason.reason.filter(|reason| !reason.trim().is_empty());
    Ok(OrderBody { reason: reason.map(Arc::from), command })
}

/// Refused here rather than by the daemon: nothing is sent that cannot be taken.
fn check_reason(reason: Option<&Arc<str>>) -> Result<(), Failure> {
    match reason.map(|reason| reason.len()).filter(|length| *length > REASON_MAX_BYTES) {
        None => Ok(()),
        Some(length) => Err(Failure::usage(format!(
            "--reason holds {REASON_MAX_BYTES} bytes at most, and this one has {length}"
        ))),
    }
}

fn read_until(text: &str, context: &Context) -> Result<crate::model::Wall, Failure> {
    let now = moment::now();
    let until = context.site.clock.read("--until", text, now, Relative::FromNow)?;
    if until <= now {
        let shown = context.site.clock.for_all([until]).show(until);
        return Err(Failure::usage(format!("--until: {shown} is in the past")));
    }
    Ok(until)
}

fn show(reply: &Reply, context: &Context) -> Result<Exit, Failure> {
    let exit = match reply {
        Reply::Done { .. } => Exit::Done,
        Reply::Refused { refusal: Refusal::NotNow, .. } => Exit::NotNow,
        Reply::Refused { refusal: Refusal::Unknown, .. } => Exit::Usage,
    };
    if context.output.is_json() {
        context.output.json(reply)?;
        return Ok(exit);
    }
    match reply {
        Reply::Done { message, .. } => {
            let message = context.site.clock.localized(&context.output.completed(message));
            context.output.data(&context.output.sentence(&escape::line(&message)))?;
            Ok(exit)
        }
        Reply::Refused { message, .. } => {
            let said = context.site.clock.localized(&context.output.completed(message));
            let failure = Failure::new(exit, said);
            // Most refusals name the command that helps themselves.
            Err(if message.contains("refit ") { failure } else { failure.next("refit status") })
        }
    }
}
