//! A rehearsal's report as one HTML page: no script, nothing loaded, every foreign text escaped;
//! readable in the light, in the dark and on paper.

use std::fmt::Write;

use crate::cli::Context;
use crate::cli::moment::Clock;
use crate::model::calendar::LONG_AGO;
use crate::model::text::is_disruptive;
use crate::rehearse::rehearsal::{CampaignReport, GroupReport, OutcomeReport, WindowReport};

use super::axis::Axis;
use super::text::{self, number};
use super::{Rehearsed, picture};

/// Groups that are drawn, the fullest first.
const GROUPS_MAX: usize = 12;

const STYLE: &str = include_str!("page.css");

/// Safe between tags and in quoted attributes.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            odd if is_disruptive(odd) => safe.push('\u{fffd}'),
            letter => safe.push(letter),
        }
    }
    safe
}

pub fn report(rehearsed: &Rehearsed, context: &Context) -> String {
    let report = &rehearsed.report;
    let clock = context.site.clock.for_all([]);
    let mut body = String::from("<h1>Rehearsal</h1>\n");
    for sentence in text::introduction(rehearsed, &clock) {
        paragraph(&mut body, &sentence);
    }
    if !report.said.is_empty() {
        let rows = report.said.iter();
        let rows = rows.map(|(at, said)| vec![clock.show(*at), said.clone()]).collect();
        body.push_str("<h2>What was done meanwhile</h2>\n");
        body.push_str(&table(&["At", "What"], &[], rows));
    }
    for one in &report.campaigns {
        body.push_str(&campaign(one, rehearsed, &clock));
    }
    body.push_str(&all_groups(&report.groups, &clock));
    body.push_str("<h2>Calls and rules</h2>\n");
    for sentence in text::conclusion(rehearsed) {
        paragraph(&mut body, &sentence);
    }
    if !report.findings.is_empty() {
        let rows = report.findings.iter();
        let rows = rows.map(|it| vec![it.seed.to_string(), it.what.clone()]).collect();
        body.push_str(&table(&["Seed", "Broken rule"], &[0], rows));
    }
    page(&body)
}

fn page(body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>Rehearsal</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
}

fn paragraph(body: &mut String, sentence: &str) {
    writeln!(body, "<p>{}</p>", escaped(sentence)).expect("a string takes any text");
}

fn campaign(campaign: &CampaignReport, rehearsed: &Rehearsed, clock: &Clock) -> String {
    let report = &rehearsed.report;
    let mut body = format!("<h2>Campaign {}</h2>\n", escaped(campaign.name.as_str()));
    let facts = text::facts(campaign, report.seeds.len(), clock);
    let rows = facts.into_iter().map(|(key, told)| vec![key.to_owned(), told]).collect();
    body.push_str(&table(&[], &[], rows));
    let axis = picture::axis(campaign, report.begin, report.end);
    if !campaign.bars.is_empty() {
        body.push_str("<h3>Windows and waves</h3>\n");
        body.push_str(
            "<p class=\"note\">Of the first seed. The time between windows is cut short.</p>\n",
        );
        body.push_str(&picture::gantt(campaign, &axis, clock));
        body.push_str("<h3>Completion</h3>\n");
        body.push_str(
            "<p class=\"note\">Targets that have ended: the median, and from p10 to p90.</p>\n",
        );
        body.push_str(&picture::completion(campaign, &axis, clock));
    }
    body.push_str(&groups(campaign, &report.groups, &axis, clock));
    body.push_str("<h3>Windows</h3>\n");
    body.push_str(&windows(&campaign.windows, clock));
    body.push_str("<h3>Targets</h3>\n");
    body.push_str(&outcomes(&campaign.outcomes));
    body
}

/// The fullest groups of a campaign as pictures.
fn groups(campaign: &CampaignReport, groups: &[GroupReport], axis: &Axis, clock: &Clock) -> String {
    let of = |group: &&GroupReport| group.campaign.as_ref() == Some(&campaign.name);
    let drawn: Vec<&GroupReport> = text::fullest(groups).into_iter().filter(of).collect();
    let drawn = &drawn[..drawn.len().min(GROUPS_MAX)];
    if drawn.is_empty() {
        return String::new();
    }
    let mut body = String::from("<h3>In flight at once</h3>\n");
    body.push_str("<p class=\"note\">Of the first seed; the dashed line is the limit.</p>\n");
    for (at, group) in drawn.iter().enumerate() {
        body.push_str(&picture::in_flight(group, axis, clock, at + 1 == drawn.len()));
    }
    body
}

fn all_groups(groups: &[GroupReport], clock: &Clock) -> String {
    if groups.is_empty() {
        return String::new();
    }
    let row = |group: &GroupReport| {
        vec![
            text::label(group),
            number(u64::from(group.most)),
            number(u64::from(group.limit)),
            group.most_at.map_or_else(String::new, |at| clock.show(at)),
            group.seed.to_string(),
        ]
    };
    let rows = text::fullest(groups).into_iter().map(row).collect();
    let header = ["In flight at once", "Most", "Limit", "First at", "Seed"];
    format!("<h2>Groups</h2>\n{}", table(&header, &[1, 2, 4], rows))
}

fn windows(windows: &[WindowReport], clock: &Clock) -> String {
    let row = |window: &WindowReport| {
        let projects: Vec<&str> = window.projects.iter().map(|name| name.as_str()).collect();
        vec![
            if window.open == LONG_AGO { "always".into() } else { clock.show(window.open) },
            window.close.map_or_else(|| "no end".into(), |at| clock.show_within(at, window.open)),
            projects.join(", "),
            window.starts.to_string(),
            window.ends.to_string(),
            window.in_flight_at_close.to_string(),
            window.overruns.to_string(),
            text::overrun(window.longest_overrun),
        ]
    };
    let header = [
        "Opens",
        "Closes",
        "Projects",
        "Starts",
        "Ends",
        "In flight at close",
        "Overruns",
        "Longest",
    ];
    table(&header, &[3, 4, 5, 6, 7], windows.iter().map(row).collect())
}

fn outcomes(outcomes: &[OutcomeReport]) -> String {
    let row = |outcome: &OutcomeReport| {
        let names: Vec<&str> = outcome.names.iter().map(|name| &**name).collect();
        vec![
            text::state(outcome),
            outcome.reason.clone().unwrap_or_default(),
            number(u64::from(outcome.p50)),
            number(u64::from(outcome.most)),
            names.join(", "),
        ]
    };
    let header = ["Targets", "Reason", "p50", "Most", "Such as"];
    table(&header, &[2, 3], outcomes.iter().map(row).collect())
}

/// Columns of numbers stand to the right. Without a header the first cell of a row is one.
fn table(header: &[&str], numbers: &[usize], rows: Vec<Vec<String>>) -> String {
    let row = |cells: &[String], is_header: bool| {
        let mut text = String::from("<tr>");
        for (at, cell) in cells.iter().enumerate() {
            let tag = if is_header || (header.is_empty() && at == 0) { "th" } else { "td" };
            let class = if numbers.contains(&at) { " class=\"number\"" } else { "" };
            write!(text, "<{tag}{class}>{}</{tag}>", escaped(cell))
                .expect("a string takes any text");
        }
        text + "</tr>\n"
    };
    let mut text = String::from("<div class=\"wide\"><table>\n");
    if !header.is_empty() {
        // On paper it stands on every page that the table reaches.
        let header = row(&header.iter().map(ToString::to_string).collect::<Vec<_>>(), true);
        text.push_str(&format!("<thead>{header}</thead>\n"));
    }
    rows.iter().for_each(|cells| text.push_str(&row(cells, false)));
    text.push_str("</table></div>\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_text_and_nothing_else() {
        let text =
            table(&["<b>"], &[], vec![vec!["\"><script>alert('&')</script>\u{1b}\u{202e}".into()]]);
        assert!(!text.contains("<script") && !text.contains("<b>"), "{text}");
        assert!(text.contains("&quot;&gt;&lt;script&gt;alert(&#39;&amp;&#39;)"), "{text}");
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
    }

    #[test]
    fn the_page_loads_nothing() {
        let page = page("<p>x</p>");
        for word in ["http:", "https:", "src=", "href=", "url(", "@import", "<script"] {
            assert!(!page.contains(word), "{word}");
        }
    }
}
