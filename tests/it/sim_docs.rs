//! The examples of `docs/simulated-cloud.md` are what they claim to be.

use std::fs;
use std::path::Path;

use refit::sim::world::{Decision, FaultProfile, Outcome, WorldSpec};

use crate::cli_process::command;

/// The TOML example that begins with the comment `# NAME`.
fn example(name: &str) -> String {
    let text = page();
    let mut blocks = text.split("```toml\n").skip(1);
    let block = blocks.find(|block| block.starts_with(&format!("# {name}\n"))).unwrap();
    block.split("```").next().unwrap().to_owned()
}

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/simulated-cloud.md");
    fs::read_to_string(path).unwrap()
}

#[test]
fn the_examples_of_world_and_faults_read() {
    let world = WorldSpec::from_toml(&example("world.toml"), "world.toml").unwrap();
    let count: usize = world.projects[0].instances.iter().map(|each| each.count).sum();
    assert!(page().contains(&format!("instances={count}\n")), "{count} instances");
    let faults = FaultProfile::from_toml(&example("faults.toml"), "faults.toml").unwrap();
    assert_eq!((faults.rules.len(), faults.scripts[0].steps.len()), (2, 4));
}

#[test]
fn the_example_of_a_configuration_is_taken_without_a_finding() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("refit.toml");
    fs::write(&path, example("refit.toml")).unwrap();
    let output = command(&["check", "--config", path.to_str().unwrap()])
        .env("SIMULATED_ACCESS_KEY", "SIMULATEDNIGHT")
        .env("SIMULATED_SECRET_KEY", "simulated-secret-of-night")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
}

#[test]
fn every_decision_and_outcome_is_explained() {
    let page = page();
    for decision in Decision::ALL {
        assert!(page.contains(&format!("`{}`", decision.word())), "{}", decision.word());
    }
    for outcome in Outcome::ALL {
        let word = serde_json::to_value(outcome).unwrap();
        assert!(page.contains(&format!("`{}`", word.as_str().unwrap())), "{word}");
    }
}
