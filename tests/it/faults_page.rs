//! `docs/faults.md` promises nothing that no test shows: every test that it names exists, and every
//! fault that belongs there has its row.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Those of a daemon on one machine; reload and the store with two owners have none yet.
const FAULTS: [std::ops::RangeInclusive<u32>; 3] = [1..=16, 25..=35, 37..=41];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The number of each row with the tests that it names.
fn rows() -> Vec<(u32, Vec<String>)> {
    let page = fs::read_to_string(root().join("docs/faults.md")).unwrap();
    let rows = page.lines().filter_map(|line| {
        let (number, rest) = line.strip_prefix("| ")?.split_once(" |")?;
        let (_, tests) = rest.trim_end_matches(" |").rsplit_once("| ")?;
        let tests = tests.split('`').skip(1).step_by(2).map(str::to_owned);
        Some((number.parse().ok()?, tests.collect()))
    });
    rows.collect()
}

#[test]
fn every_fault_has_its_row_and_every_row_a_test() {
    let rows = rows();
    let numbers: BTreeSet<u32> = rows.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, FAULTS.into_iter().flatten().collect());
    for (number, tests) in rows {
        assert!(!tests.is_empty(), "no test shows fault {number}");
    }
}

#[test]
fn every_test_that_the_page_names_exists() {
    for (number, tests) in rows() {
        for name in tests {
            let (module, test) = name.split_once("::").unwrap();
            let file = root().join(format!("tests/it/{module}.rs"));
            let text = fs::read_to_string(&file).unwrap_or_default();
            let is_there = text.contains(&format!("\nasync fn {test}()"))
                || text.contains(&format!("\nfn {test}()"));
            assert!(is_there, "fault {number} names {name}, which does not exist");
        }
    }
}
