//! What a command must know to find its daemon: the socket, the store, the zone for times.
//!
//! Read leniently from the file and without its secrets: `status`, `pause` and `why` must work in
//! an incident, for a user who may not read the credentials, and even when the file has errors that
//! `refit check` would name. Anything that cannot be read falls back to its documented default, and
//! `is_guess` says so. What changes a store must not be told of it here: see `settings`.

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use crate::config::{Environment, FILE_LIMIT, ProcessEnvironment};

use super::globals::Globals;
use super::moment::Clock;

/// Where the packaged unit puts the socket.
const PACKAGED_SOCKET: &str = "/run/refit/refit.sock";

/// Where the packaged unit puts the store.
const PACKAGED_STORE: &str = "/var/lib/refit/refit.db";

const SOCKET_NAME: &str = "refit.sock";

#[derive(Debug, Clone)]
pub struct Site {
    pub config: PathBuf,
    /// Where the daemon may listen, the likeliest first, without repetition.
    pub sockets: Vec<PathBuf>,
    pub store: PathBuf,
    /// The file could not be read: where the store and the sockets are is a guess.
    pub is_guess: bool,
    pub clock: Clock,
}

impl Site {
    pub fn find(globals: &Globals) -> Site {
        let file = ProcessEnvironment.read(&globals.config, FILE_LIMIT).ok();
        let file = file
            .filter(|content| content.size <= FILE_LIMIT)
            .and_then(|content| String::from_utf8(content.bytes).ok())
            .and_then(|text| text.parse::<toml::Table>().ok());
        // systemd separates several directories by colons; the first is meant.
        let variable = |name: &str| {
            let value = std::env::var(name).ok()?;
            value.split(':').next().filter(|first| !first.is_empty()).map(PathBuf::from)
        };
        let site = Site::from_file(globals, &file.clone().unwrap_or_default(), variable);
        Site { is_guess: file.is_none(), ..site }
    }

    /// What to add to a place that was not found, where the file does not say it.
    pub fn guess(&self) -> Option<String> {
        let file = self.config.display();
        self.is_guess.then(|| format!("{file} cannot be read, so this is where one is by default"))
    }

    /// What to type where no daemon runs.
    pub fn start_command(&self) -> String {
        format!("systemctl start refit, or refit run --config {}", self.config.display())
    }

    fn from_file(
        globals: &Globals,
        file: &toml::Table,
        variable: impl Fn(&str) -> Option<PathBuf>,
    ) -> Site {
        let text = |table: &str, key: &str| file.get(table)?.get(key)?.as_str();
        // Relative paths in the file count from its own directory.
        let base = globals.config.parent().unwrap_or(Path::new(""));
        let store = text("store", "url")
            .and_then(|url| url.strip_prefix("sqlite://"))
            .map(|path| base.join(path))
            .or_else(|| variable("STATE_DIRECTORY").map(|directory| directory.join("refit.db")))
            .unwrap_or_else(|| PathBuf::from(PACKAGED_STORE));
        let sockets = match &globals.socket {
            Some(socket) => vec![socket.clone()],
            None => sockets(
                text("api", "socket").map(|path| base.join(path)),
                variable("RUNTIME_DIRECTORY"),
                &store,
            ),
        };
        let zone = file.get("time_zone").and_then(toml::Value::as_str);
        let zone = zone.filter(|_| !globals.utc).and_then(|name| TimeZone::get(name).ok());
        Site {
            config: globals.config.clone(),
            sockets,
            store,
            is_guess: false,
            clock: Clock::new(zone.unwrap_or(TimeZone::UTC)),
        }
    }
}

/// A socket that the file names is the only one; else the documented places, in order.
fn sockets(named: Option<PathBuf>, runtime: Option<PathBuf>, store: &Path) -> Vec<PathBuf> {
    if let Some(named) = named {
        return vec![named];
    }
    let places = [
        runtime.map(|directory| directory.join(SOCKET_NAME)),
        store.parent().map(|directory| directory.join(SOCKET_NAME)),
        Some(PathBuf::from(PACKAGED_SOCKET)),
    ];
    let mut sockets = Vec::new();
    for place in places.into_iter().flatten() {
        if !sockets.contains(&place) {
            sockets.push(place);
        }
    }
    sockets
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::Cli;
    use super::*;

    fn find(arguments: &[&str], file: &str) -> Site {
        let arguments = ["refit"].iter().chain(arguments).chain(["pause", "weekly"].iter());
        let globals = Cli::try_parse_from(arguments).unwrap().globals;
        Site::from_file(&globals, &file.parse().unwrap(), |_| None)
    }

    #[test]
    fn the_socket_is_looked_for_beside_the_store_and_then_where_the_unit_puts_it() {
        let site = find(&[], "[store]\nurl = 'sqlite:///srv/refit/fleet.db'\n");
        assert_eq!(site.store, Path::new("/srv/refit/fleet.db"));
        assert_eq!(
            site.sockets,
            [Path::new("/srv/refit/refit.sock"), Path::new("/run/refit/refit.sock")]
        );
    }

    #[test]
    fn a_named_socket_is_the_only_one() {
        let file = "[api]\nsocket = '/tmp/a.sock'\n";
        assert_eq!(find(&[], file).sockets, [Path::new("/tmp/a.sock")]);
        assert_eq!(find(&["--socket", "/tmp/b"], file).sockets, [Path::new("/tmp/b")]);
    }

    #[test]
    fn times_follow_the_file_unless_utc_is_asked_for() {
        let file = "time_zone = 'Europe/Berlin'\n";
        assert_eq!(find(&[], file).clock.zone.iana_name(), Some("Europe/Berlin"));
        assert_eq!(find(&["--utc"], file).clock.zone, TimeZone::UTC);
        assert_eq!(find(&[], "time_zone = 'Nowhere'\n").clock.zone, TimeZone::UTC);
    }
}
