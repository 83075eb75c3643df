//! Whether a life came to its end; what else is wrong with it, the crate tells of any run.

use refit::rehearse::Host;

/// Targets that neither ended nor say why a human must look (rule L1).
pub fn stalled(host: &Host) -> Vec<String> {
    let mut stalled: Vec<String> = host
        .store()
        .targets()
        .filter(|row| !row.state.is_terminal() && row.needs_operator.is_none())
        .filter(|row| {
            let is_in_file = host.settings().campaigns.contains_key(&row.id.campaign);
            is_in_file || row.state.is_in_flight()
        })
        .map(|row| {
            let hold =
                host.engine().zip(host.steady()).map(|(engine, now)| engine.hold(&row.id, now));
            format!("L1: {} is {} for {hold:?}", row.id, row.state)
        })
        .collect();
    for name in host.settings().campaigns.keys() {
        match host.store().campaign(name) {
            None if selects_something(host) => {
                stalled.push(format!("L1: {name} was never planned"))
            }
            Some(row) if !row.state.is_over() => {
                stalled.push(format!("L1: {name} is {} {:?}", row.state, row.detail));
            }
            _ => {}
        }
    }
    stalled
}

/// Some selections are empty by the draw; without any target at all nothing can be said.
fn selects_something(host: &Host) -> bool {
    host.settings().campaigns.values().all(|policy| policy.select.tags.is_empty())
}
