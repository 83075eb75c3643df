//! The demonstration's operator: approves plans and looks after paused campaigns, by the same
//! orders that `refit approve` and `refit resume` send.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::cli::failure::Failure;
use crate::daemon::Handle;
use crate::engine::order::ResumeScope;
use crate::engine::view::CampaignStatus;
use crate::engine::{CampaignState, Command, Order, Reply, Status};
use crate::model::CampaignName;

use super::play::broken;

/// An operator reads before acting; shorter, and nobody would see what was waiting.
const READS_FOR: Duration = Duration::from_secs(1);

const NAME: &str = "demo-operator";

#[derive(Default)]
pub struct Operator {
    /// Since when each campaign has been waiting for somebody.
    waiting: BTreeMap<CampaignName, Instant>,
    orders: Vec<Ordered>,
}

/// One order that was given.
#[derive(Debug, Clone, Serialize)]
pub struct Ordered {
    pub what: String,
    pub reason: String,
    pub reply: String,
}

impl fmt::Display for Ordered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operator: {} ({}): {}", self.what, self.reason, self.reply)
    }
}

impl Operator {
    /// Gives at most one order: the next look comes within a quarter of a second.
    ///
    /// # Errors
    /// The daemon does not answer.
    pub async fn act(
        &mut self,
        status: &Status,
        handle: &Handle,
    ) -> Result<Option<Ordered>, Failure> {
        for campaign in &status.campaigns {
            let Some((what, reason, command)) = wish(campaign) else {
                self.waiting.remove(&campaign.name);
                continue;
            };
            let since = *self.waiting.entry(campaign.name.clone()).or_insert_with(Instant::now);
            if since.elapsed() < READS_FOR {
                continue;
            }
            self.waiting.remove(&campaign.name);
            let order = Order { actor: NAME.into(), reason: Some(reason.into()), command };
            let reply = handle.order(order).await.map_err(broken("the daemon is silent"))?;
            let (Reply::Done { message: reply, .. } | Reply::Refused { message: reply, .. }) =
                reply;
            let ordered = Ordered { what, reason: reason.into(), reply };
            self.orders.push(ordered.clone());
            return Ok(Some(ordered));
        }
        Ok(None)
    }

    pub fn into_orders(self) -> Vec<Ordered> {
        self.orders
    }
}

fn wish(campaign: &CampaignStatus) -> Option<(String, &'static str, Command)> {
    let name = campaign.name.clone();
    match campaign.state? {
        CampaignState::AwaitingApproval => {
            let digest = campaign.digest.clone();
            let what = format!("approve {name} --digest {digest}");
            Some((what, "read the plan", Command::Approve { campaign: name, digest }))
        }
        CampaignState::Paused => {
            let what = format!("resume {name}");
            let scope = ResumeScope::Campaign(name);
            Some((what, "looked at the failures", Command::Resume { scope }))
        }
        _ => None,
    }
}
