//! `[projects.NAME]`: one cloud project in one region, its limits and how it is reached.

use std::collections::BTreeMap;

use crate::model::access::Endpoint;
use crate::model::policy::{ProjectPolicy, Starts};
use crate::model::{CredentialName, Millis, ProjectName};

use super::Context;
use super::duration::{Duration, SOME_TIME};
use super::endpoint::{self, BaseUrl, Http};
use super::kind::{COUNT, Choice, Kind, Name, Place, print_text, text};
use super::problem::{Problem, closest};
use super::rate::{per_minute, rate, warn_of_slow_reads};
use super::section::{Item, Section};
use super::source::reason;

/// A bundle of every public root certificate has a quarter of this.
const CA_FILE_LIMIT: u64 = 1024 * 1024;

/// [`Starts::Planning`] is for a process to choose, not for a file.
const STARTS: &[(&str, Starts)] = &[("on", Starts::On), ("off", Starts::Off)];

type Projects = (BTreeMap<ProjectName, ProjectPolicy>, BTreeMap<ProjectName, Endpoint>);

pub fn read(root: &mut Section<'_>, context: &Context<'_>) -> Projects {
    let mut policies = BTreeMap::new();
    let mut endpoints = BTreeMap::new();
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    for (name, mut section) in root.named("projects") {
        if !section.is_present() {
            continue;
        }
        let name = name.into_inner();
        let found = project(&mut section, context);
        if let Some((policy, _)) = &found {
            // Two names for one project would hide each other's open attempts (rule S1).
            let id = policy.project_id.replace('-', "").to_lowercase();
            if let Some(other) = ids.insert(id, name.clone()) {
                let message = format!("project {other} is the same cloud project");
                let problem = Problem::new(message).help("keep one of the two");
                section.problem_at("project_id", problem);
            }
        }
        section.close();
        if let Some((policy, endpoint)) = found {
            let name = ProjectName::from(name);
            policies.insert(name.clone(), policy);
            endpoints.insert(name, endpoint);
        }
    }
    if context.projects.is_empty() {
        let problem = Problem::new("no project is configured").at(0..0);
        root.lacks_table("projects", problem.help("write `[projects.NAME]` with its region"));
    }
    (policies, endpoints)
}

fn project(section: &mut Section<'_>, context: &Context<'_>) -> Option<(ProjectPolicy, Endpoint)> {
    let region = section.required("region", &Region);
    let project_id = section.required("project_id", &ProjectId);
    let credential = credential(section, context);
    let (dcs, iam) = endpoints(section, region.as_deref());
    let ca_file = section.optional("ca_file", &Place(context.base), "none");
    if let Some(path) = &ca_file
        && let Err(problem) = check_certificates(path, context)
    {
        section.problem_at("ca_file", problem);
    }
    let proxy = section.optional("proxy", &BaseUrl(Http::Anywhere), "none");
    let starts = section.or_default("starts", &Choice(STARTS), Starts::On);
    let max_in_flight = section.or_default("max_in_flight", &COUNT, 20);
    let upgrade_rate = rate(section, "upgrade_rate", per_minute(10, 1));
    let read_rate = rate(section, "read_rate", per_minute(60, 10));
    if let (Some(upgrades), Some(reads)) = (upgrade_rate, read_rate) {
        warn_of_slow_reads(section, upgrades, reads);
    }
    let poll_interval = section.or_default("poll_interval", &SOME_TIME, Millis::from_secs(15));
    let request = Duration { least: Millis::from_secs(1), most: Millis::from_secs(40) };
    let request_timeout = section.or_default("request_timeout", &request, Millis::from_secs(30));
    let (region, project_id, credential) = (region?, project_id?, credential?);
    let (upgrade_rate, read_rate) = (upgrade_rate?, read_rate?);
    let host = endpoint::host_and_port(&dcs).into();
    let policy = ProjectPolicy {
        region: region.as_str().into(),
        project_id: project_id.as_str().into(),
        credential: credential.clone(),
        host,
        starts,
        max_in_flight,
        upgrade_rate,
        read_rate,
        poll_interval,
        request_timeout,
    };
    let endpoint = Endpoint {
        region: region.into(),
        project_id: project_id.into(),
        credential,
        dcs: dcs.into(),
        iam: iam.into(),
        ca_file,
        proxy: proxy.map(Into::into),
        request_timeout,
    };
    Some((policy, endpoint))
}

/// The only credential is every project's.
fn credential(section: &mut Section<'_>, context: &Context<'_>) -> Option<CredentialName> {
    let kind = Name { what: "credential", known: &context.credentials };
    let name = match &context.credentials[..] {
        [only] => Some(section.or_default("credentials", &kind, only.clone())),
        _ => section.required("credentials", &kind),
    };
    name.map(CredentialName::from)
}

/// The written endpoints, else those of the region.
fn endpoints(section: &mut Section<'_>, region: Option<&str>) -> (String, String) {
    let kind = BaseUrl(Http::Loopback);
    let of_region = region.unwrap_or_default();
    if let Some(region) = region
        && !section.has("dcs_endpoint")
        && !endpoint::REGIONS.contains(&region)
    {
        let problem = Problem::warning("the cloud documents no DCS host for this region");
        let help = match closest(region, endpoint::REGIONS) {
            Some(meant) => format!("did you mean {meant:?}? If not, write dcs_endpoint"),
            None => "write dcs_endpoint and iam_endpoint".into(),
        };
        section.problem_at("region", problem.help(help));
    }
    let dcs = section.or_default("dcs_endpoint", &kind, endpoint::derived_dcs(of_region));
    let iam = section.or_default("iam_endpoint", &kind, endpoint::derived_iam(of_region));
    (dcs, iam)
}

fn check_certificates(path: &std::path::Path, context: &Context<'_>) -> Result<(), Problem> {
    let content = context.environment.read(path, CA_FILE_LIMIT).map_err(|error| {
        Problem::new(format!("cannot read {}: {}", path.display(), reason(&error)))
            .help("name a PEM file of certificates")
    })?;
    let mark = b"-----BEGIN CERTIFICATE-----";
    if content.bytes.windows(mark.len()).any(|part| part == mark) {
        Ok(())
    } else {
        let message = format!("{} holds no PEM certificate", path.display());
        Err(Problem::new(message).help("name a file with -----BEGIN CERTIFICATE-----"))
    }
}

/// A region's id; it becomes part of a host name.
struct Region;

impl Kind for Region {
    type Value = String;

    fn parse(&self, item: &Item<'_>) -> Result<String, Vec<Problem>> {
        let region = text(item, "a region such as \"ap-southeast-3\"")?;
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if region.chars().all(is_plain) && !region.starts_with('-') && !region.ends_with('-') {
            Ok(region.to_owned())
        } else {
            let problem = Problem::new("a region has only a-z, 0-9 and - in it");
            Err(vec![problem.help("write it as in \"ap-southeast-3\"")])
        }
    }

    fn print(&self, value: &String) -> String {
        print_text(value)
    }

    fn example(&self) -> String {
        "\"ap-southeast-3\"".into()
    }
}

/// 32 hex digits, with or without the dashes of a UUID (API facts, section 1.3).
struct ProjectId;

impl Kind for ProjectId {
    type Value = String;

    fn parse(&self, item: &Item<'_>) -> Result<String, Vec<Problem>> {
        let id = text(item, "the cloud's project id")?;
        let dashes = id.bytes().enumerate().filter(|(_, byte)| *byte == b'-').map(|(at, _)| at);
        let is_placed = dashes.clone().count() == 0 || dashes.eq([8, 13, 18, 23]);
        let digits = id.bytes().filter(|byte| *byte != b'-');
        let is_hex = digits.clone().all(|byte| byte.is_ascii_hexdigit());
        if is_placed && is_hex && digits.count() == 32 {
            Ok(id.to_owned())
        } else {
            let problem = Problem::new("a project id is 32 hex digits or a UUID");
            Err(vec![problem.help("copy it from the console: My Credentials, project list")])
        }
    }

    fn print(&self, value: &String) -> String {
        print_text(value)
    }

    fn example(&self) -> String {
        "\"0aa10000000000000000000000000001\"".into()
    }
}
