//! A deadline alerts when the forecast passes it, once, and when it no longer does.

use refit::engine::input::Forecast;
use refit::engine::view::CampaignStatus;
use refit::engine::{Fact, Input};
use refit::model::{Millis, Wall};

use crate::engine_hand::{Hand, WINDOW};

const DEADLINE: Wall = Wall(WINDOW.0 + 4 * 3_600_000);

fn planned(deadline: Option<Wall>) -> Hand {
    let mut hand = Hand::new(|settings| {
        settings.campaigns.get_mut(&"c".into()).expect("it is there").deadline = deadline;
    });
    hand.run_while(WINDOW, |hand| !has(hand, |fact| matches!(fact, Fact::Started)));
    hand
}

fn has(hand: &Hand, is_wanted: impl Fn(&Fact) -> bool) -> bool {
    hand.events.iter().any(|event| is_wanted(&event.fact))
}

/// Gives a forecast, and tells what it led to.
fn tell(hand: &mut Hand, p90: Option<Wall>) -> Vec<Fact> {
    let told = hand.events.len();
    let at = Wall(hand.now.0);
    let forecast = Forecast { campaign: "c".into(), at, p50: Some(WINDOW), p90 };
    hand.give(Input::Forecast(forecast));
    hand.events[told..].iter().map(|event| event.fact.clone()).collect()
}

fn status(hand: &Hand) -> CampaignStatus {
    hand.engine.status(hand.now).campaigns.remove(0)
}

#[test]
fn a_forecast_after_the_deadline_is_told_once_and_so_is_its_end() {
    let mut hand = planned(Some(DEADLINE));
    assert_eq!(tell(&mut hand, Some(DEADLINE)), []);
    let after = Some(DEADLINE + Millis(1));
    let late = Fact::ForecastLate { deadline: DEADLINE, p50: Some(WINDOW), p90: after };
    assert_eq!(tell(&mut hand, after), [late]);
    assert_eq!(tell(&mut hand, None), [], "it is known already");
    let shown = status(&hand);
    assert_eq!(shown.late.map(|late| late.deadline), Some(DEADLINE));
    assert_eq!(shown.forecast.map(|forecast| forecast.p90), Some(None));
    let in_time = Fact::ForecastInTime { deadline: Some(DEADLINE), p90: Some(WINDOW) };
    assert_eq!(tell(&mut hand, Some(WINDOW)), [in_time]);
    assert_eq!(status(&hand).late, None);
    assert_eq!(hand.checker.violations(), []);
}

#[test]
fn that_it_is_late_survives_a_restart_and_the_forecast_does_not() {
    let mut hand = planned(Some(DEADLINE));
    tell(&mut hand, None);
    let mut hand = Hand::of(hand.store, WINDOW, |settings| {
        settings.campaigns.get_mut(&"c".into()).expect("it is there").deadline = Some(DEADLINE);
    });
    let shown = status(&hand);
    assert_eq!((shown.late.map(|late| late.p90), shown.forecast), (Some(None), None));
    assert_eq!(tell(&mut hand, None), [], "nothing new");
    assert_eq!(hand.checker.violations(), []);
}

#[test]
fn a_deadline_that_left_the_file_alerts_no_longer() {
    let mut hand = planned(Some(DEADLINE));
    tell(&mut hand, None);
    let mut hand = Hand::of(hand.store, WINDOW, |_| {});
    assert_eq!(tell(&mut hand, None), [Fact::ForecastInTime { deadline: None, p90: None }]);
}

#[test]
fn without_a_deadline_a_forecast_is_only_shown() {
    let mut hand = planned(None);
    assert_eq!(tell(&mut hand, None), []);
    assert!(status(&hand).forecast.is_some());
    let told = hand.events.len();
    let (campaign, at) = ("unknown".into(), WINDOW);
    hand.give(Input::Forecast(Forecast { campaign, at, p50: None, p90: None }));
    assert_eq!(hand.events.len(), told);
}
