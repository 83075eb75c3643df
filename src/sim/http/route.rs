//! From method and path to a call of the cloud.

use std::collections::BTreeMap;
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use crate::model::{InstanceId, Wall};
use crate::sim::world::{Ask, CallKind, Include, ListQuery, NameFilter, TaskQuery};

/// The documented default and largest page of the instance list and the task centre.
const LIST_DEFAULT: usize = 10;
const LIST_MOST: usize = 1_000;

/// A call that the cloud knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    Upgrade {
        project: Arc<str>,
        instance: InstanceId,
    },
    Ask {
        project: Arc<str>,
        ask: Ask,
    },
    /// It carries no project.
    MaintainWindows,
    Token,
    Projects,
    SecurityKey,
    MetadataToken,
}

/// Why a path leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoRoute {
    Unknown,
    WrongMethod,
    /// The parameter that cannot be read.
    BadParameter(&'static str),
}

impl Route {
    pub fn call(&self) -> CallKind {
        match self {
            Route::Upgrade { .. } => CallKind::Upgrade,
            Route::Ask { ask, .. } => ask.kind(),
            Route::MaintainWindows => CallKind::MaintainWindows,
            Route::Token => CallKind::Token,
            Route::Projects => CallKind::Projects,
            Route::SecurityKey | Route::MetadataToken => CallKind::Metadata,
        }
    }

    pub fn project(&self) -> Option<&Arc<str>> {
        match self {
            Route::Upgrade { project, .. } | Route::Ask { project, .. } => Some(project),
            _ => None,
        }
    }

    pub fn instance(&self) -> Option<&InstanceId> {
        match self {
            Route::Upgrade { instance, .. } => Some(instance),
            Route::Ask { ask, .. } => ask.instance(),
            _ => None,
        }
    }

    /// Finds the call. `path` and `query` as they came.
    pub fn find(method: &str, path: &str, query: &str) -> Result<Route, NoRoute> {
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let query = Query::parse(query);
        let ask = |project: &str, ask| Route::Ask { project: project.into(), ask };
        let instance = |id: &str| InstanceId::from(id);
        let (wanted, route) = match segments[..] {
            ["v2", "instances", "maintain-windows"] => ("GET", Route::MaintainWindows),
            ["v2", project, "instances"] => ("GET", ask(project, Ask::List(query.list()?))),
            ["v2", project, "instances", "status"] => ("GET", ask(project, Ask::StatusCounts)),
            ["v2", project, "instances", "statistic"] => ("GET", ask(project, Ask::Statistics)),
            ["v2", project, "instances", id] => {
                ("GET", ask(project, Ask::Show { instance: instance(id) }))
            }
            ["v2", project, "instances", id, "version"] => {
                ("GET", ask(project, Ask::Version { instance: instance(id) }))
            }
            ["v2", project, "instances", id, "minor-version", "upgrade"] => {
                ("POST", Route::Upgrade { project: project.into(), instance: instance(id) })
            }
            ["v2", project, "instances", id, "tasks"] => {
                let query = query.tasks(usize::MAX)?;
                ("GET", ask(project, Ask::InstanceTasks { instance: instance(id), query }))
            }
            ["v2", project, "instances", id, "tasks", task, "progress"] => {
                let (instance, task) = (instance(id), task.into());
                ("GET", ask(project, Ask::Progress { instance, task }))
            }
            ["v2", project, "instances", id, "tasks", task] => {
                let instance = Some(instance(id));
                ("DELETE", ask(project, Ask::DeleteTask { instance, task: task.into() }))
            }
            ["v2", project, "instances", id, "backups"] => {
                ("GET", ask(project, Ask::Backups { instance: instance(id) }))
            }
            ["v2", project, "tasks"] => {
                ("GET", ask(project, Ask::TaskCentre(query.tasks(LIST_MOST)?)))
            }
            ["v2", project, "tasks", task] => {
                ("DELETE", ask(project, Ask::DeleteTask { instance: None, task: task.into() }))
            }
            ["v3", "auth", "tokens"] => ("POST", Route::Token),
            ["v3", "projects"] => ("GET", Route::Projects),
            ["openstack", "latest", "securitykey"] => ("GET", Route::SecurityKey),
            ["meta-data", "latest", "api", "token"] => ("PUT", Route::MetadataToken),
            _ => return Err(NoRoute::Unknown),
        };
        if method == wanted { Ok(route) } else { Err(NoRoute::WrongMethod) }
    }
}

/// A decoded query; of a repeated key the last counts.
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    pub fn parse(text: &str) -> Query {
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Query(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(key, value)| (decode(key), decode(value)))
                .collect(),
        )
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    fn number(&self, key: &'static str) -> Result<Option<usize>, NoRoute> {
        let number = |text: &str| text.parse().map_err(|_| NoRoute::BadParameter(key));
        self.get(key).map(number).transpose()
    }

    fn limit(&self, most: usize) -> Result<Option<usize>, NoRoute> {
        match self.number("limit")? {
            Some(limit) if limit == 0 || limit > most => Err(NoRoute::BadParameter("limit")),
            limit => Ok(limit),
        }
    }

    fn list(&self) -> Result<ListQuery, NoRoute> {
        let exact = self.get("name_equal") == Some("true");
        let name = self.get("name").map(str::to_owned);
        let tags = self.get("tags").unwrap_or("");
        let include = |key, what| (self.get(key) == Some("true")).then_some(what);
        Ok(ListQuery {
            offset: self.number("offset")?.unwrap_or(0),
            limit: self.limit(LIST_MOST)?.unwrap_or(LIST_DEFAULT),
            instance: self.get("instance_id").map(str::to_owned),
            name: name.map(if exact { NameFilter::Equals } else { NameFilter::Contains }),
            status: self.get("status").map(str::to_owned),
            tags: tags
                .split(',')
                .filter(|tag| !tag.is_empty())
                .map(|tag| tag.split_once('=').unwrap_or((tag, "")))
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            include: [
                include("include_failure", Include::Failed),
                include("include_delete", Include::Deleted),
            ]
            .into_iter()
            .flatten()
            .collect(),
        })
    }

    fn tasks(&self, most: usize) -> Result<TaskQuery, NoRoute> {
        Ok(TaskQuery {
            offset: self.number("offset")?.unwrap_or(0),
            limit: self.limit(most)?,
            from: self.time("start_time")?,
            until: self.time("end_time")?,
        })
    }

    /// `yyyyMMddHHmmss`, UTC (API facts, section 4.4).
    fn time(&self, key: &'static str) -> Result<Option<Wall>, NoRoute> {
        let read = |text: &str| {
            let civil = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", text).ok()?;
            let instant = jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()?;
            Some(Wall(instant.as_millisecond()))
        };
        self.get(key).map(|text| read(text).ok_or(NoRoute::BadParameter(key))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_their_calls() {
        for (method, path, call) in [
            ("GET", "/v2/p/instances", CallKind::List),
            ("GET", "/v2/p/instances/i", CallKind::Show),
            ("GET", "/v2/p/instances/i/version", CallKind::Version),
            ("POST", "/v2/p/instances/i/minor-version/upgrade", CallKind::Upgrade),
            ("GET", "/v2/p/instances/i/tasks", CallKind::InstanceTasks),
            ("GET", "/v2/p/instances/i/tasks/t/progress", CallKind::Progress),
            ("DELETE", "/v2/p/instances/i/tasks/t", CallKind::DeleteTask),
            ("GET", "/v2/p/tasks", CallKind::TaskCentre),
            ("GET", "/v2/p/instances/status", CallKind::StatusCounts),
            ("GET", "/v2/p/instances/statistic", CallKind::Statistics),
            ("GET", "/v2/instances/maintain-windows", CallKind::MaintainWindows),
            ("POST", "/v3/auth/tokens", CallKind::Token),
            ("GET", "/openstack/latest/securitykey", CallKind::Metadata),
        ] {
            assert_eq!(Route::find(method, path, "").unwrap().call(), call, "{path}");
        }
    }

    #[test]
    fn another_path_method_or_parameter_leads_nowhere() {
        let find = Route::find;
        let major = "/v2/p/instances/i/major-version/upgrade";
        assert_eq!(find("POST", major, ""), Err(NoRoute::Unknown));
        assert_eq!(find("POST", "/v2/p/instances", ""), Err(NoRoute::WrongMethod));
        let bad = |key| Err(NoRoute::BadParameter(key));
        assert_eq!(find("GET", "/v2/p/instances", "limit=1001"), bad("limit"));
        assert_eq!(find("GET", "/v2/p/tasks", "start_time=2026-01-01"), bad("start_time"));
    }

    #[test]
    fn filters_are_decoded() {
        let query = Query::parse("tags=env%3Dprod%2Ctier%3Dweb&name=a%20b&name_equal=true&limit=7");
        let list = query.list().unwrap();
        assert_eq!(list.tags.len(), 2);
        assert_eq!(list.name, Some(NameFilter::Equals("a b".into())));
        assert_eq!(list.limit, 7);
    }
}
