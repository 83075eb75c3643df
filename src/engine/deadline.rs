//! A campaign's deadline, told against the forecasts that the host makes now and then. It alerts
//! and decides nothing: no start depends on a forecast.

use super::Engine;
use super::event::Fact;
use super::input::Forecast;
use super::rows::LateForecast;
use super::view::ForecastView;

impl Engine {
    pub(super) fn forecast_made(&mut self, forecast: Forecast) {
        let Some(&ix) = self.campaign_index.get(&forecast.campaign) else { return };
        let campaign = &mut self.campaigns[ix.at()];
        if campaign.is_over() || campaign.state.is_none() {
            return;
        }
        let Forecast { at, p50, p90, .. } = forecast;
        campaign.forecast = Some(ForecastView { at, p50, p90 });
        let policy = self.settings.campaigns.get(&forecast.campaign);
        let deadline = policy.and_then(|policy| policy.deadline);
        // Without a ninth of ten, more than one in ten does not complete at all.
        let missed = deadline.filter(|deadline| p90.is_none_or(|p90| p90 > *deadline));
        let known = campaign.detail.late.map(|late| late.deadline);
        if missed == known {
            return;
        }
        let since = self.wall;
        campaign.detail.late = missed.map(|deadline| LateForecast { since, deadline, p90 });
        self.touch_campaign(ix);
        self.record_campaign(
            ix,
            match missed {
                Some(deadline) => Fact::ForecastLate { deadline, p50, p90 },
                None => Fact::ForecastInTime { deadline, p90 },
            },
        );
    }
}
