//! Addresses of the cloud: as written, and derived from the region (API facts, sections 1.1, 1.2).

use std::net::IpAddr;

use reqwest::Url;

use super::kind::{Kind, print_text, text};
use super::problem::{Problem, quoted};
use super::section::Item;

/// Regions with a DCS host (API facts, section 1.1), for suggestions.
pub const REGIONS: [&str; 34] = [
    "ae-ad-1",
    "af-north-1",
    "af-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "cn-east-2",
    "cn-east-3",
    "cn-east-4",
    "cn-east-5",
    "cn-north-1",
    "cn-north-11",
    "cn-north-12",
    "cn-north-2",
    "cn-north-4",
    "cn-north-9",
    "cn-south-1",
    "cn-south-2",
    "cn-south-4",
    "cn-southwest-2",
    "cn-southwest-3",
    "eu-west-0",
    "eu-west-101",
    "la-north-2",
    "la-south-2",
    "me-east-1",
    "my-kualalumpur-1",
    "na-mexico-1",
    "ru-moscow-1",
    "ru-northwest-2",
    "sa-brazil-1",
    "tr-west-1",
];

/// Regions without an IAM host of their own (API facts, section 1.1).
const GLOBAL_IAM: [&str; 7] = [
    "af-north-1",
    "ap-southeast-5",
    "cn-north-11",
    "cn-south-4",
    "cn-southwest-3",
    "eu-west-101",
    "ru-northwest-2",
];

/// Huawei Cloud Europe has a domain of its own (API facts, section 1.2).
fn domain(region: &str) -> &'static str {
    if region.starts_with("eu-west-1") { "myhuaweicloud.eu" } else { "myhuaweicloud.com" }
}

pub fn derived_dcs(region: &str) -> String {
    format!("https://dcs.{region}.{}", domain(region))
}

/// The regional host where there is one, else the global one.
pub fn derived_iam(region: &str) -> String {
    let domain = domain(region);
    let has_host = REGIONS.contains(&region) && !GLOBAL_IAM.contains(&region);
    if has_host || domain == "myhuaweicloud.eu" {
        format!("https://iam.{region}.{domain}")
    } else {
        format!("https://iam.{domain}")
    }
}

/// Where plain http may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Http {
    Loopback,
    /// Also the machine's metadata address.
    Metadata,
    /// Anywhere: a proxy sees https go through it sealed.
    Anywhere,
}

/// The cloud's metadata address (API facts, section 1.1).
pub const METADATA_ENDPOINT: &str = "http://169.254.169.254";

/// A base URL: scheme, host and port, without a trailing slash.
pub struct BaseUrl(pub Http);

impl Kind for BaseUrl {
    type Value = String;

    fn parse(&self, item: &Item<'_>) -> Result<String, Vec<Problem>> {
        let written = text(item, "an address such as \"https://dcs.example.com\"")?;
        let wrong = |message: &str, help: &str| vec![Problem::new(message).help(help)];
        let url = Url::parse(written).map_err(|error| {
            let message = format!("this is not an address: {error}");
            wrong(&message, "write \"https://HOST\" or \"https://HOST:PORT\"")
        })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("an address must not hold a user or password", "leave them out"));
        }
        let Some(host) = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https")) else {
            let message = format!("{} is not a scheme to be used here", quoted(url.scheme()));
            return Err(wrong(&message, "write \"https://HOST\""));
        };
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("only scheme, host and port belong here", "end after the host"));
        }
        if url.scheme() == "http" && !self.allows_http(host) {
            let help = format!("write \"https://{host}\"");
            return Err(wrong("plain http is allowed only to this machine", &help));
        }
        Ok(url.as_str().trim_end_matches('/').to_owned())
    }

    fn print(&self, value: &String) -> String {
        print_text(value)
    }

    fn example(&self) -> String {
        "\"https://HOST\"".into()
    }
}

impl BaseUrl {
    fn allows_http(&self, host: &str) -> bool {
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        let is_loopback = address.map_or(host == "localhost", |address| address.is_loopback());
        match self.0 {
            Http::Loopback => is_loopback,
            Http::Metadata => is_loopback || host == "169.254.169.254",
            Http::Anywhere => true,
        }
    }
}

/// `host:port`, the port always written: two projects on one host share its limits.
pub fn host_and_port(base: &str) -> String {
    let url = Url::parse(base).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or(base);
    match url.as_ref().and_then(Url::port_or_known_default) {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_follow_the_region() {
        for (region, dcs, iam) in [
            (
                "ap-southeast-3",
                "https://dcs.ap-southeast-3.myhuaweicloud.com",
                "https://iam.ap-southeast-3.myhuaweicloud.com",
            ),
            (
                "cn-north-11",
                "https://dcs.cn-north-11.myhuaweicloud.com",
                "https://iam.myhuaweicloud.com",
            ),
            (
                "eu-west-101",
                "https://dcs.eu-west-101.myhuaweicloud.eu",
                "https://iam.eu-west-101.myhuaweicloud.eu",
            ),
            (
                "eu-west-0",
                "https://dcs.eu-west-0.myhuaweicloud.com",
                "https://iam.eu-west-0.myhuaweicloud.com",
            ),
            ("xx-new-1", "https://dcs.xx-new-1.myhuaweicloud.com", "https://iam.myhuaweicloud.com"),
        ] {
            assert_eq!(derived_dcs(region), dcs);
            assert_eq!(derived_iam(region), iam);
        }
    }

    #[test]
    fn regions_without_a_host_of_their_own_are_known_regions() {
        assert!(GLOBAL_IAM.iter().all(|region| REGIONS.contains(region)));
        assert!(REGIONS.is_sorted());
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        let loopback = BaseUrl(Http::Loopback);
        for host in ["127.0.0.1", "127.8.9.1", "[::1]", "localhost"] {
            assert!(loopback.allows_http(host), "{host}");
        }
        for host in ["127.0.0.1.example.com", "10.0.0.1", "localhost.example.com", "[::2]"] {
            assert!(!loopback.allows_http(host), "{host}");
        }
        assert!(BaseUrl(Http::Metadata).allows_http("169.254.169.254"));
        assert!(!loopback.allows_http("169.254.169.254"));
    }

    #[test]
    fn the_port_of_a_host_is_always_written() {
        assert_eq!(host_and_port("https://dcs.example.com"), "dcs.example.com:443");
        assert_eq!(host_and_port("http://127.0.0.1:18080"), "127.0.0.1:18080");
        assert_eq!(host_and_port("http://[::1]"), "[::1]:80");
    }
}
