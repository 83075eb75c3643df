//! Secrets come from where references point, and show up nowhere else.

use std::path::Path;

use refit::config::{self, Findings, Loaded};
use refit::model::CredentialName;
use refit::model::access::Secrets;
use secrecy::ExposeSecret;

use crate::config_environment::FakeEnvironment;

const FILE: &str = "/etc/refit/refit.toml";
const CANARY: &str = "c4n4ry/Key+Value==";

/// A file whose secret key is written as `secret_key`.
fn load(secret_key: &str, environment: &mut FakeEnvironment) -> Result<Loaded, Findings> {
    let text = crate::config_load::SMALLEST
        .replace("\"env:HUAWEICLOUD_SDK_SK\"", &format!("\"{secret_key}\""));
    environment.write(FILE, text, 0o644);
    config::load(Path::new(FILE), environment)
}

fn secret_key(loaded: &Loaded) -> String {
    match &loaded.config.secrets[&CredentialName::from("ops")] {
        Secrets::AccessKey { secret_key, .. } => secret_key.expose_secret().to_owned(),
        other => panic!("{other:?}"),
    }
}

fn refused(secret_key: &str, environment: &mut FakeEnvironment) -> Findings {
    let findings = load(secret_key, environment).expect_err("the secret cannot be used");
    assert_eq!(findings.exit().code(), 77, "{findings}");
    for text in [findings.to_string(), findings.to_json().to_string(), format!("{findings:?}")] {
        assert!(!text.contains(CANARY), "{text}");
    }
    findings
}

#[test]
fn one_trailing_line_break_of_a_file_is_no_part_of_the_secret() {
    for content in [CANARY.to_owned(), format!("{CANARY}\n"), format!("{CANARY}\r\n")] {
        let mut environment = FakeEnvironment::usual();
        environment.write("/run/key", content, 0o600);
        assert_eq!(secret_key(&load("file:/run/key", &mut environment).unwrap()), CANARY);
    }
}

#[test]
fn a_relative_file_counts_from_the_configuration() {
    let mut environment = FakeEnvironment::usual();
    environment.write("/etc/refit/key", CANARY, 0o640);
    assert_eq!(secret_key(&load("file:key", &mut environment).unwrap()), CANARY);
}

#[test]
fn a_credential_comes_from_the_directory_that_systemd_names() {
    let mut environment = FakeEnvironment::usual();
    environment.set("CREDENTIALS_DIRECTORY", "/run/credentials/refit.service");
    environment.write("/run/credentials/refit.service/sk", CANARY, 0o444);
    assert_eq!(secret_key(&load("credential:sk", &mut environment).unwrap()), CANARY);
}

#[test]
fn a_key_file_that_every_user_can_open_is_refused() {
    for mode in [0o644, 0o604, 0o602, 0o666] {
        let mut environment = FakeEnvironment::usual();
        environment.write("/run/key", CANARY, mode);
        let findings = refused("file:/run/key", &mut environment);
        assert!(findings.list[0].message.contains("open to every user"), "{findings}");
    }
}

#[test]
fn an_empty_or_broken_secret_is_refused() {
    for content in ["", "\n", &format!("{CANARY}\n\n"), &format!("{CANARY}\nmore")] {
        let mut environment = FakeEnvironment::usual();
        environment.write("/run/key", content, 0o600);
        refused("file:/run/key", &mut environment);
    }
    let mut environment = FakeEnvironment::usual();
    environment.set("EMPTY", "");
    refused("env:EMPTY", &mut environment);
    refused("env:UNSET", &mut environment);
    refused("file:/nowhere", &mut environment);
    refused("credential:sk", &mut environment);
}

#[test]
fn a_secret_in_the_file_is_refused_and_never_repeated() {
    refused(CANARY, &mut FakeEnvironment::usual());
}

#[test]
fn no_mistake_around_a_secret_shows_it() {
    let lines = [
        format!("secret_kee = \"{CANARY}\""),
        format!("secret_key = {CANARY}"),
        format!("secret_key = \"{CANARY}"),
        format!("secret_key = [\"{CANARY}\"]"),
        format!("secret_key = {{ value = \"{CANARY}\" }}"),
        format!("secret_key = '''\n{CANARY}"),
        format!("secret_key = \"env:NAME\" \"{CANARY}\""),
        CANARY.to_owned(),
        format!("\"{CANARY}\""),
        format!("sk = \"{CANARY}\"\nsk = \"{CANARY}\""),
        format!("[projects.b]\nsk = \"{CANARY}\""),
        format!("[projects.b] sk = \"{CANARY}\""),
        format!("access_key = [\n[\"{CANARY}\" x]]"),
        format!("[projects.b]\nproxy = \"http://user:{CANARY}@proxy:3128\""),
        format!("[projects.b]\ndcs_endpoint = \"https://user:{CANARY}@\\u0000\""),
        format!("[store]\nurl = \"postgres://refit:{CANARY}@db/refit\""),
        format!("[store]\npassword = \"{CANARY}\""),
        format!("[stor]\nx = {{ password = \"{CANARY}\" }}"),
        format!("[credentals.b]\nkey = \"{CANARY}\" oops"),
    ];
    for line in lines {
        let mut environment = FakeEnvironment::usual();
        let text = format!("[credentials.ops]\nkind = \"access-key\"\n{line}\n");
        environment.write(FILE, text.as_str(), 0o644);
        let findings = config::load(Path::new(FILE), &environment).expect_err(&text);
        let shown = format!("{findings}\n{}\n{findings:?}", findings.to_json());
        assert!(!shown.contains(CANARY), "{line}\n{shown}");
    }
}

#[test]
fn a_fingerprint_changes_with_the_secret_and_says_nothing_of_it() {
    let fingerprint = |value: &str| {
        let mut environment = FakeEnvironment::usual();
        environment.set("KEY", value);
        let config = load("env:KEY", &mut environment).unwrap().config;
        let credential = &config.settings.credentials[&CredentialName::from("ops")];
        assert!(!credential.renewable);
        credential.fingerprint.to_string()
    };
    assert_eq!(fingerprint(CANARY), fingerprint(CANARY));
    assert_ne!(fingerprint(CANARY), fingerprint("another"));
    assert!(!fingerprint(CANARY).contains(CANARY));
}

#[test]
fn effective_keys_show_a_secret_as_its_reference() {
    let mut environment = FakeEnvironment::usual();
    environment.write("/run/key", CANARY, 0o600);
    let loaded = load("file:/run/key", &mut environment).unwrap();
    let text = config::effective::render(&config::effective(&loaded));
    assert!(text.contains("secret_key = \"file:/run/key\""), "{text}");
    assert!(!text.contains(CANARY) && !format!("{loaded:?}").contains(CANARY));
}
