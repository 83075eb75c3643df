//! The positions that knobs take: words to choose from, limits, ranges, counts, names.

use std::fmt::Display;
use std::str::FromStr;

use super::value::{BadValue, Limit, SpanRange};

macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub enum $name { $($(#[$about])* $variant,)+ }

        impl $name {
            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }
        }

        impl FromStr for $name {
            type Err = BadValue;
            fn from_str(text: &str) -> Result<$name, BadValue> {
                match text {
                    $($word => Ok($name::$variant),)+
                    _ => Err(BadValue::new(text, concat!("one of" $(, " ", $word)+))),
                }
            }
        }

        impl Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

choice!(
    /// What the list and "show" tell of a running upgrade in `service_upgrade`, `service_task_id`.
    ServiceTask { #[default] Filled = "filled", FlagOnly = "flag_only", Never = "never", }
);
choice!(
    /// The status word during an upgrade.
    StatusDuring {
        #[default] Upgrading = "UPGRADING",
        Extending = "EXTENDING",
        Running = "RUNNING",
        Unheard = "HOTFIXING",
    }
);
choice!(
    /// The field `task` of "show" during an upgrade.
    TaskDuring { #[default] Shown = "shown", Null = "null", }
);
choice!(
    /// The name of the upgrade task.
    TaskName {
        #[default] Upgrade = "upgradeMinorVersion",
        Plain = "modify",
        Misleading = "EXTEND",
    }
);
choice!(
    /// How the task centre shows upgrades.
    TaskCentre {
        #[default] SameId = "same_id",
        OtherId = "other_id",
        Hidden = "hidden",
        Absent = "absent",
    }
);
choice!(
    /// The answer to an upgrade of an instance that is newest already.
    NewestAnswer { #[default] Current = "4053", Accepted = "accepted", Odd = "odd", }
);
choice!(
    /// The answer in a project for which the call was never enabled.
    NotEnabled { #[default] Forbidden = "403", BadRequest = "400", Missing = "404", }
);
choice!(
    /// What becomes of a proxy version asked for on an instance without a proxy.
    ProxyOnPlain { #[default] Ignored = "ignored", Refused = "refused", }
);
choice!(
    /// The answer to a second upgrade while one runs.
    Duplicate {
        #[default] Upgrading = "4116",
        State = "4026",
        TaskRunning = "4017",
        RunsTwice = "runs_twice",
    }
);
choice!(
    /// What an upgrade does to the data of a single-node instance.
    SingleNodeData { #[default] Kept = "kept", Lost = "lost", }
);
choice!(
    /// Whether pages of a list are cut from one order.
    Paging { #[default] Stable = "stable", Shifting = "shifting", }
);
choice!(
    /// The order of task lists.
    TaskOrder { #[default] NewestFirst = "newest_first", OldestFirst = "oldest_first", }
);
choice!(
    /// Whether the upgrade call exists, in every project.
    UpgradeCall {
        #[default] Present = "present",
        AbsentAtGateway = "absent_gateway",
        AbsentAtService = "absent_service",
    }
);
choice!(
    /// What becomes of a version named instead of `latest`.
    NamedVersion { #[default] Refused = "refused", Accepted = "accepted", }
);
choice!(
    /// The `Retry-After` of a 429.
    RetryAfterForm {
        #[default] Absent = "absent",
        Seconds = "seconds",
        Date = "date",
        Absurd = "absurd",
        Negative = "negative",
    }
);
choice!(
    /// When the version numbers move.
    VersionMoves { #[default] AtEnd = "at_end", AtStart = "at_start", Midway = "midway", }
);
choice!(
    /// Whether an upgrade task has a progress.
    Progress { #[default] Shown = "shown", Absent = "absent", }
);
choice!(
    /// Documented types, or the contradictory ones of published examples.
    Types { #[default] Documented = "documented", Contradictory = "contradictory", }
);
choice!(
    /// `DCS.4116`, or its numeric twin `111400116`.
    ErrorCodes { #[default] Dcs = "dcs", Numeric = "numeric", }
);
choice!(
    /// What becomes of an upgrade with an empty body.
    EmptyBody { #[default] Refused = "refused", Accepted = "accepted", }
);
choice!(
    /// The status of a server error that faults draw.
    ErrorStatus {
        #[default] Mixed = "mixed",
        S500 = "500",
        S502 = "502",
        S503 = "503",
        S504 = "504",
    }
);
choice!(
    /// What others do to instances between the look and the upgrade.
    OthersDo {
        #[default] Mixed = "mixed",
        Delete = "delete",
        Freeze = "freeze",
        Fault = "fault",
        Upgrade = "upgrade",
        Finish = "finish",
    }
);
choice!(
    /// Whether the metadata address insists on its token.
    MetadataToken { #[default] Off = "off", Required = "required", }
);

/// A limit, or none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MaybeLimit(pub Option<Limit>);

impl FromStr for MaybeLimit {
    type Err = BadValue;
    fn from_str(text: &str) -> Result<MaybeLimit, BadValue> {
        if text == "off" { Ok(MaybeLimit(None)) } else { Ok(MaybeLimit(Some(text.parse()?))) }
    }
}

impl Display for MaybeLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(limit) => limit.fmt(f),
            None => f.write_str("off"),
        }
    }
}

/// A range of durations, or what the world's file says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MaybeRange(pub Option<SpanRange>);

impl FromStr for MaybeRange {
    type Err = BadValue;
    fn from_str(text: &str) -> Result<MaybeRange, BadValue> {
        if text == "world" { Ok(MaybeRange(None)) } else { Ok(MaybeRange(Some(text.parse()?))) }
    }
}

impl Display for MaybeRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(range) => range.fmt(f),
            None => f.write_str("world"),
        }
    }
}

/// A count of at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub usize);

impl FromStr for Count {
    type Err = BadValue;
    fn from_str(text: &str) -> Result<Count, BadValue> {
        let count: Option<usize> = text.parse().ok();
        count
            .filter(|count| *count > 0)
            .map(Count)
            .ok_or_else(|| BadValue::new(text, "a number of at least 1"))
    }
}

impl Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Project names, comma separated; `none`; `all`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

impl Names {
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|each| each == "all" || each == name)
    }
}

impl FromStr for Names {
    type Err = BadValue;
    fn from_str(text: &str) -> Result<Names, BadValue> {
        if text == "none" {
            return Ok(Names::default());
        }
        let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        if names.iter().any(String::is_empty) {
            return Err(BadValue::new(text, "`none`, `all`, or names with commas between"));
        }
        Ok(Names(names))
    }
}

impl Display for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() { f.write_str("none") } else { f.write_str(&self.0.join(",")) }
    }
}
