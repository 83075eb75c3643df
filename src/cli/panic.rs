//! A bug ends the process: exit 70, with a message that can hold no secret.

use crate::exit::Exit;

use std::panic::PanicHookInfo;

/// From here on a panic in any thread or task prints where it happened and ends the process, so
/// that no daemon goes on with half of its tasks.
pub fn install() {
    std::panic::set_hook(Box::new(|info| {
        anstream::eprint!("{}", message(info));
        std::process::exit(i32::from(Exit::Bug.code()));
    }));
}

/// Only literals are printed: a formatted message may carry what it was formatted from.
fn message(info: &PanicHookInfo<'_>) -> String {
    let place = info.location().map_or_else(
        || "an unknown place".to_owned(),
        |location| format!("{}:{}", location.file(), location.line()),
    );
    let what = info.payload().downcast_ref::<&'static str>().copied();
    describe(&place, what)
}

fn describe(place: &str, what: Option<&str>) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let what = what.unwrap_or("the message is withheld, it might hold a secret");
    format!(
        "error: a bug in refit {version} at {place}: {what}\n  next: nothing is lost, start it \
         again; report this line\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formatted_panic_message_is_withheld() {
        let text = describe("src/a.rs:7", None);
        assert!(text.contains("src/a.rs:7") && text.contains("withheld"), "{text}");
    }
}
