//! The judge's verdict on one site: the cloud's log, the store, the settings, every file.

use refit::judge::{Evidence, Judgement, Output, Rule, Verdict, judge, load_store};
use refit::model::InstanceId;

use super::site::Site;

/// Rules that every run with an upgrade gives facts for; "not judged" would be an empty verdict.
const JUDGED: [u8; 9] = [1, 2, 3, 4, 5, 6, 10, 11, 12];

/// Collects the evidence, judges it, and fails with everything that is broken.
pub async fn held(site: &Site) -> Verdict {
    let verdict = judge(&evidence(site).await);
    let broken: Vec<String> = verdict
        .0
        .iter()
        .filter_map(|(rule, judgement)| match judgement {
            Judgement::Broken(breaches) => Some(format!("{rule}: {}", breaches.join("; "))),
            Judgement::Held { .. } | Judgement::NotJudged(_) => None,
        })
        .collect();
    assert!(broken.is_empty(), "{}\n{}", broken.join("\n"), site.logs());
    if site.cloud.posts().iter().any(|post| post.applied) {
        for rule in JUDGED.map(Rule) {
            let judgement = &verdict.0[&rule];
            assert!(matches!(judgement, Judgement::Held { .. }), "{rule}: {judgement:?}");
        }
    }
    verdict
}

async fn evidence(site: &Site) -> Evidence {
    let mut evidence = Evidence {
        settings: site.settings(),
        lines: site.cloud.lines(),
        outputs: site.files(),
        secrets: site.secrets.clone(),
        ..Evidence::default()
    };
    evidence.final_versions = site.cloud.running.world(|world| {
        let truths = world.truths();
        let versions = truths.map(|(project, instance, truth)| {
            ((project.into(), InstanceId::from(instance)), truth.versions)
        });
        versions.collect()
    });
    load_store(&site.store(), &mut evidence).await.unwrap();
    evidence
}

pub fn output(name: String, bytes: Vec<u8>) -> Output {
    Output { name, bytes }
}
