//! `[store]` and `[api]`: where the daemon keeps its state and where it listens.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::effective::Origin;
use super::kind::{Kind, Place, print_text, text};
use super::problem::{Problem, quoted};
use super::section::{Item, Section};
use super::{ApiConfig, Context, StoreConfig};

/// Where the store is if neither the file nor systemd says.
const STATE_DIRECTORY: &str = "/var/lib/refit";

/// Longest path that a Unix socket's address holds (`sun_path`, without its end).
const SOCKET_LIMIT: usize = 107;

pub fn store(mut section: Section<'_>, context: &Context<'_>) -> StoreConfig {
    let (directory, origin) = match systemd_directory(context, "STATE_DIRECTORY") {
        Some(directory) => (directory, Origin::Environment),
        None => (STATE_DIRECTORY.into(), Origin::Default),
    };
    let kind = StoreUrl { base: context.base };
    let path = section.or_origin("url", &kind, directory.join("refit.db"), origin);
    for key in ["retention", "password"] {
        if section.item(key).is_some() {
            let problem = Problem::new("this key is not in this version").help("leave it out");
            section.problem_at(key, problem);
        }
    }
    section.close();
    StoreConfig { path }
}

pub fn api(mut section: Section<'_>, store: &StoreConfig, context: &Context<'_>) -> ApiConfig {
    let listen = section.or_default("listen", &Listen, Some(([127, 0, 0, 1], 7300).into()));
    let (directory, origin) = match systemd_directory(context, "RUNTIME_DIRECTORY") {
        Some(directory) => (directory, Origin::Environment),
        None => (store.path.parent().unwrap_or(Path::new("")).to_owned(), Origin::Default),
    };
    let kind = Place(context.base);
    let socket = section.or_origin("socket", &kind, directory.join("refit.sock"), origin);
    if socket.as_os_str().len() > SOCKET_LIMIT {
        let problem = Problem::new(format!("a socket's path holds {SOCKET_LIMIT} bytes at most"));
        section.problem_at("socket", problem.help("write a shorter path"));
    }
    section.close();
    ApiConfig { listen, socket }
}

/// The first of the directories that systemd made for the unit.
fn systemd_directory(context: &Context<'_>, variable: &str) -> Option<PathBuf> {
    let value = context.environment.variable(variable)?.into_string().ok()?;
    let first = value.split(':').next().filter(|first| !first.is_empty())?;
    Some(first.into())
}

/// `sqlite://PATH`. No options: how the store is opened is not for the file to say.
struct StoreUrl<'a> {
    base: &'a Path,
}

impl Kind for StoreUrl<'_> {
    type Value = PathBuf;

    fn parse(&self, item: &Item<'_>) -> Result<PathBuf, Vec<Problem>> {
        let help = "write \"sqlite:///var/lib/refit/refit.db\"";
        let wrong = |message: &str| vec![Problem::new(message).help(help)];
        let url = text(item, "an address such as \"sqlite:///var/lib/refit/refit.db\"")?;
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Err(wrong("PostgreSQL is not in this version"));
        }
        let Some(path) = url.strip_prefix("sqlite://") else {
            return Err(wrong("the store is an SQLite file"));
        };
        if path.contains(['?', '#', '%']) {
            return Err(wrong("the path takes no options and no escapes"));
        }
        if path.is_empty() || path.ends_with('/') || path.contains(":memory:") {
            return Err(wrong("the store must be a file, or a restart would forget upgrades"));
        }
        Ok(self.base.join(path))
    }

    fn print(&self, path: &PathBuf) -> String {
        print_text(&format!("sqlite://{}", path.display()))
    }

    fn example(&self) -> String {
        "\"sqlite:///var/lib/refit/refit.db\"".into()
    }
}

/// Address and port, or "off".
struct Listen;

impl Kind for Listen {
    type Value = Option<SocketAddr>;

    fn parse(&self, item: &Item<'_>) -> Result<Option<SocketAddr>, Vec<Problem>> {
        let help = "write \"127.0.0.1:7300\", \"[::1]:7300\" or \"off\"";
        match text(item, "an address and port, or \"off\"")? {
            "off" => Ok(None),
            written => written.parse().map(Some).map_err(|_| {
                let message = format!("{} is not an address and port", quoted(written));
                vec![Problem::new(message).help(help)]
            }),
        }
    }

    fn print(&self, value: &Option<SocketAddr>) -> String {
        print_text(&value.map_or("off".into(), |address| address.to_string()))
    }

    fn example(&self) -> String {
        "\"127.0.0.1:7300\"".into()
    }
}
