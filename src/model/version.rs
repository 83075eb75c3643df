//! Minor versions: what an instance runs, what it could run, what a request asks for.
//!
//! Version strings are opaque and only ever compared for equality (API facts, section 3.3).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What one upgrade call can move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    Engine,
    /// Only Proxy Cluster and read/write splitting instances have one.
    Proxy,
}

/// One part's answer to the version query. Absent or empty strings are `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartVersion {
    pub current: Option<Arc<str>>,
    pub latest: Option<Arc<str>>,
    /// `false` means newest already *or* not supported: compare `current` with `latest`.
    pub upgradable: bool,
}

impl PartVersion {
    /// Runs the newest version it has been offered.
    pub fn is_current(&self) -> bool {
        self.current.is_some() && self.current == self.latest
    }
}

/// The answer to the version query of one instance (API facts, section 3.3).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    pub engine: PartVersion,
    pub proxy: PartVersion,
}

impl Versions {
    pub fn part(&self, part: Part) -> &PartVersion {
        match part {
            Part::Engine => &self.engine,
            Part::Proxy => &self.proxy,
        }
    }
}

/// The exact content of one upgrade request: the parts it moves and the version it names for each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeBody {
    #[serde(rename = "engine_minor_version", default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Arc<str>>,
    #[serde(rename = "proxy_minor_version", default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Arc<str>>,
}

impl UpgradeBody {
    /// The parts that the request moves, engine first.
    pub fn parts(&self) -> impl Iterator<Item = Part> {
        let engine = self.engine.as_ref().map(|_| Part::Engine);
        let proxy = self.proxy.as_ref().map(|_| Part::Proxy);
        engine.into_iter().chain(proxy)
    }

    pub fn is_empty(&self) -> bool {
        self.engine.is_none() && self.proxy.is_none()
    }

    /// The bytes that are signed, hashed, stored and sent: always the same for the same body.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("two optional strings always serialise")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_carries_only_the_parts_it_moves() {
        let body = UpgradeBody { engine: Some("latest".into()), proxy: None };
        assert_eq!(body.to_json(), r#"{"engine_minor_version":"latest"}"#);
        assert_eq!(body.parts().collect::<Vec<_>>(), [Part::Engine]);
        assert!(UpgradeBody::default().is_empty());
    }
}
