//! Names and ids. Each is its own type, so that a project can never stand where an instance should.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Arc<str>);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> $name {
                $name(Arc::from(text))
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> $name {
                $name(Arc::from(text))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// One cloud project in one region, by its name in the configuration file.
    ProjectName
);
name!(
    /// One campaign, by the name of its table; the name is its identity.
    CampaignName
);
name!(
    /// One set of credentials, by its name in the configuration file.
    CredentialName
);
name!(
    /// One window or freeze, by its name in the configuration file.
    WindowName
);
name!(
    /// The cloud's id of one instance.
    InstanceId
);
name!(
    /// The cloud's id of one background task.
    TaskId
);

/// One instance in one campaign. Displayed and parsed as `campaign/project/instance`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TargetId {
    pub campaign: CampaignName,
    pub project: ProjectName,
    pub instance: InstanceId,
}

/// One submission of a target. Displayed and parsed as `campaign/project/instance/round.number`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct AttemptId {
    pub target: TargetId,
    /// Counts the target's re-openings by an operator, from 1.
    pub round: u32,
    /// Counts intents within the round, from 1; never reused, whatever became of the intent.
    pub number: u32,
}

/// The text is not an id of the wanted form.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not of the form {1}")]
pub struct BadId(String, &'static str);

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.campaign, self.project, self.instance)
    }
}

impl FromStr for TargetId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<TargetId, BadId> {
        let bad = || BadId(text.into(), "campaign/project/instance");
        let mut parts = text.split('/');
        let mut next = || parts.next().filter(|part| !part.is_empty()).ok_or_else(bad);
        let (campaign, project, instance) = (next()?, next()?, next()?);
        if parts.next().is_some() {
            return Err(bad());
        }
        Ok(TargetId {
            campaign: campaign.into(),
            project: project.into(),
            instance: instance.into(),
        })
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}.{}", self.target, self.round, self.number)
    }
}

impl FromStr for AttemptId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<AttemptId, BadId> {
        let bad = || BadId(text.into(), "campaign/project/instance/round.number");
        let (target, count) = text.rsplit_once('/').ok_or_else(bad)?;
        let (round, number) = count.split_once('.').ok_or_else(bad)?;
        Ok(AttemptId {
            target: target.parse().map_err(|_| bad())?,
            round: round.parse().map_err(|_| bad())?,
            number: number.parse().map_err(|_| bad())?,
        })
    }
}

macro_rules! as_text {
    ($name:ident) => {
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<$name, BadId> {
                text.parse()
            }
        }
    };
}

as_text!(TargetId);
as_text!(AttemptId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_reads_back_as_it_prints() {
        let text = "weekly/sg-prod/c830053e-d5a3/2.3";
        let attempt: AttemptId = text.parse().unwrap();
        assert_eq!((attempt.round, attempt.number), (2, 3));
        assert_eq!(attempt.to_string(), text);
    }

    #[test]
    fn half_an_id_is_refused() {
        for text in ["", "a/b", "a/b/c/d", "a//c"] {
            assert!(text.parse::<TargetId>().is_err(), "{text}");
        }
        for text in ["a/b/c", "a/b/c/1", "a/b/c/1.x"] {
            assert!(text.parse::<AttemptId>().is_err(), "{text}");
        }
    }
}
