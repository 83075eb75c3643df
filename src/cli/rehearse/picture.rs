//! The pictures of a rehearsal, as SVG: windows and waves, the course of completion, what is in
//! flight of each group.

use std::fmt::Write;

use crate::cli::moment::Clock;
use crate::model::calendar::LONG_AGO;
use crate::model::{Millis, Wall};
use crate::rehearse::rehearsal::{Band, CampaignReport, GroupReport};

use super::axis::{Axis, WIDTH};
use super::html::escaped;
use super::text::{label, number, short_label};

/// Left of the axis, for what rows are called.
const LEFT: f64 = 150.0;

/// Right of it, for what the last label needs.
const RIGHT: f64 = 30.0;

/// One row of bars.
const ROW: f64 = 24.0;

/// Letters of a row's name that fit left of the axis.
const NAME_MAX: usize = 20;

/// A bar is never so thin that it cannot be seen.
const THIN: f64 = 2.0;

/// The axis of a campaign: its windows as far as anything happens, and what overran them.
pub fn axis(campaign: &CampaignReport, begin: Wall, end: Wall) -> Axis {
    let last = campaign.bars.iter().map(|bar| bar.until);
    let bands = campaign.bands.iter().flat_map(|band| [band.p90, band.p50]).flatten();
    let last = last.chain(bands).max().unwrap_or(end);
    let windows = campaign.windows.iter().filter(|window| window.open <= last);
    let windows = windows.map(|window| {
        let open = if window.open == LONG_AGO { begin } else { window.open.max(begin) };
        let close = window.close.unwrap_or(last).max(open);
        (open, close + window.longest_overrun)
    });
    let bars = campaign.bars.iter().map(|bar| (bar.from, bar.until.max(bar.from + Millis(1))));
    Axis::new(windows.chain(bars).collect())
}

/// Windows as bands, and what was in flight of each wave in each of them as bars.
pub fn gantt(campaign: &CampaignReport, axis: &Axis, clock: &Clock) -> String {
    let height = ROW * campaign.waves.len().max(1) as f64;
    let mut svg = open(height, "Windows and waves of the first seed");
    bands(&mut svg, axis, height);
    for (row, wave) in campaign.waves.iter().enumerate() {
        let top = ROW * row as f64;
        name(&mut svg, top + ROW * 0.68, &wave.name);
        if let (Some(ended), Some(baked)) = (wave.ends.p50, wave.baked.p50) {
            let (from, until) = (axis.x(ended), axis.x(baked));
            let told = format!("bakes until {}", clock.show(baked));
            rect(&mut svg, "bake", (from, until), (top + ROW * 0.42, ROW * 0.16), &told);
        }
        for bar in campaign.bars.iter().filter(|bar| bar.wave as usize == row) {
            let targets = number(u64::from(bar.targets));
            let until = clock.show_within(bar.until, bar.from);
            let told = format!("{targets} targets, {} to {until}", clock.show(bar.from));
            let (from, until) = (axis.x(bar.from), axis.x(bar.until));
            rect(&mut svg, "bar", (from, until), (top + 4.0, ROW - 8.0), &told);
        }
    }
    labels(&mut svg, axis, height, clock);
    svg + "</svg>\n"
}

/// How many targets have ended: the median of the seeds, and the range from p10 to p90.
pub fn completion(campaign: &CampaignReport, axis: &Axis, clock: &Clock) -> String {
    const HEIGHT: f64 = 180.0;
    let most = (campaign.targets as usize).max(1);
    let mut svg = open(HEIGHT, "Targets that have ended, over time");
    bands(&mut svg, axis, HEIGHT);
    let y = |targets: usize| HEIGHT - HEIGHT * targets as f64 / most as f64;
    let points = |pick: fn(&Band) -> Option<Wall>| -> Vec<(f64, f64)> {
        let reached = campaign.bands.iter().map_while(|band| Some((pick(band)?, band.targets)));
        reached.map(|(at, targets)| (axis.x(at), y(targets))).collect()
    };
    let (early, late) = (points(|band| band.p10), points(|band| band.p90));
    let edge = steps(&early);
    let mut back = steps(&late);
    // Where the late ones never come, the band goes on to the right edge.
    let top = edge.last().map_or(HEIGHT, |(_, y)| *y);
    if late.len() < early.len() {
        back.push((WIDTH, back.last().map_or(HEIGHT, |(_, y)| *y)));
        back.push((WIDTH, top));
    }
    back.reverse();
    let polygon: Vec<(f64, f64)> = edge.into_iter().chain(back).collect();
    path(&mut svg, "range", &polygon, " Z");
    path(&mut svg, "line", &steps(&points(|band| band.p50)), "");
    for share in [0, 50, 100] {
        let targets = most * share / 100;
        let text = number(targets as u64);
        let at = y(targets).clamp(10.0, HEIGHT);
        write!(svg, r#"<text class="tick" x="{:.1}" y="{at:.1}">{text}</text>"#, LEFT - 8.0)
            .expect("a string takes any text");
    }
    labels(&mut svg, axis, HEIGHT, clock);
    svg + "</svg>\n"
}

/// What was in flight of one group in the first seed, below its limit.
pub fn in_flight(group: &GroupReport, axis: &Axis, clock: &Clock, is_last: bool) -> String {
    const HEIGHT: f64 = 46.0;
    let most = f64::from(group.limit.min(group.most.saturating_mul(3)).max(group.most).max(1));
    let mut svg = open_with(HEIGHT, is_last, &format!("In flight of {}", label(group)));
    bands(&mut svg, axis, HEIGHT);
    let y = |count: u32| HEIGHT - (HEIGHT - 4.0) * f64::from(count) / most;
    name(&mut svg, HEIGHT * 0.45, &short_label(group));
    write!(
        svg,
        r#"<text class="tick" x="{:.1}" y="{:.1}">{} of {}</text>"#,
        LEFT - 8.0,
        HEIGHT * 0.85,
        number(u64::from(group.most)),
        number(u64::from(group.limit))
    )
    .expect("a string takes any text");
    path(&mut svg, "range", &columns(group, axis, y, HEIGHT), " Z");
    if f64::from(group.limit) <= most {
        let at = y(group.limit);
        path(&mut svg, "limit", &[(0.0, at), (WIDTH, at)], "");
    }
    if is_last {
        labels(&mut svg, axis, HEIGHT, clock);
    }
    svg + "</svg>\n"
}

/// The outline of the counts: of each column of the picture the highest, however many changes it
/// holds.
fn columns(
    group: &GroupReport,
    axis: &Axis,
    y: impl Fn(u32) -> f64,
    bottom: f64,
) -> Vec<(f64, f64)> {
    let mut columns = vec![0; WIDTH as usize + 1];
    let (mut at, mut count) = (0, 0);
    for (instant, next) in &group.course {
        let column = (axis.x(*instant) as usize).min(columns.len() - 1);
        columns[at..=column.max(at)].iter_mut().for_each(|it| *it = count.max(*it));
        (at, count) = (column, *next);
        columns[at] = columns[at].max(count);
    }
    columns[at..].iter_mut().for_each(|it| *it = count.max(*it));
    let mut outline = vec![(0.0, bottom)];
    let mut before = 0;
    for (x, count) in columns.into_iter().enumerate() {
        if count != before {
            outline.extend([(x as f64, y(before)), (x as f64, y(count))]);
            before = count;
        }
    }
    outline.extend([(WIDTH, y(before)), (WIDTH, bottom)]);
    outline
}

/// A line that rises at each point and is level in between.
fn steps(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut steps = Vec::with_capacity(points.len() * 2);
    for (at, point) in points.iter().enumerate() {
        let before = if at == 0 { None } else { points.get(at - 1) };
        steps.extend(before.map(|(_, y)| (point.0, *y)));
        steps.push(*point);
    }
    steps
}

fn open(height: f64, title: &str) -> String {
    open_with(height, true, title)
}

fn open_with(height: f64, has_labels: bool, title: &str) -> String {
    let below = if has_labels { 34.0 } else { 6.0 };
    format!(
        "<svg viewBox=\"0 0 {:.0} {:.0}\" role=\"img\"><title>{}</title>\n",
        LEFT + WIDTH + RIGHT,
        height + below,
        escaped(title)
    )
}

fn bands(svg: &mut String, axis: &Axis, height: f64) {
    for (left, right) in axis.stretches() {
        let width = (right - left).max(THIN);
        writeln!(
            svg,
            r#"<rect class="window" x="{:.1}" y="0" width="{width:.1}" height="{height:.1}"/>"#,
            LEFT + left
        )
        .expect("a string takes any text");
    }
}

fn rect(
    svg: &mut String,
    class: &str,
    (from, until): (f64, f64),
    (y, height): (f64, f64),
    told: &str,
) {
    let width = (until - from).max(THIN);
    writeln!(
        svg,
        r#"<rect class="{class}" x="{:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}"><title>{}</title></rect>"#,
        LEFT + from,
        escaped(told)
    )
    .expect("a string takes any text");
}

fn path(svg: &mut String, class: &str, points: &[(f64, f64)], end: &str) {
    if points.is_empty() {
        return;
    }
    write!(svg, r#"<path class="{class}" d=""#).expect("a string takes any text");
    for (at, (x, y)) in points.iter().enumerate() {
        let letter = if at == 0 { 'M' } else { 'L' };
        write!(svg, "{letter}{:.1} {y:.1}", LEFT + x).expect("a string takes any text");
    }
    writeln!(svg, "{end}\"/>").expect("a string takes any text");
}

fn name(svg: &mut String, y: f64, text: &str) {
    let shown = shortened(text);
    writeln!(
        svg,
        r#"<text class="name" x="{:.1}" y="{y:.1}">{}<title>{}</title></text>"#,
        LEFT - 8.0,
        escaped(&shown),
        escaped(text)
    )
    .expect("a string takes any text");
}

/// Without its middle, if it is long: names differ in the end.
fn shortened(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let kept = (NAME_MAX - 1) / 2;
    match letters.len() > NAME_MAX {
        true => letters[..kept]
            .iter()
            .chain(['…'].iter())
            .chain(&letters[letters.len() - kept..])
            .collect(),
        false => text.to_owned(),
    }
}

fn labels(svg: &mut String, axis: &Axis, height: f64, clock: &Clock) {
    for (at, x) in axis.labels() {
        let (day, time) = clock.day_and_time(at);
        for (text, below) in [(day, 14.0), (time, 28.0)] {
            writeln!(
                svg,
                r#"<text class="label" x="{:.1}" y="{:.1}">{}</text>"#,
                LEFT + x,
                height + below,
                escaped(&text)
            )
            .expect("a string takes any text");
        }
    }
}
