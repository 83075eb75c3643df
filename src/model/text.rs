//! Foreign text, made harmless for a terminal, a log and a ledger.
//!
//! An instance's name is anybody's text: it must not move the cursor, recolour the screen, reverse
//! the reading direction or pretend to be a second line.

/// One line: whatever [`is_disruptive`] is shown escaped, line breaks included.
pub fn one_line(text: &str) -> String {
    escaped(text, |_| false)
}

/// Several lines: line breaks stay, everything else is escaped as in [`one_line`].
pub fn lines(text: &str) -> String {
    escaped(text, |character| character == '\n')
}

fn escaped(text: &str, keeps: impl Fn(char) -> bool) -> String {
    let mut result = String::with_capacity(text.len());
    for character in text.chars() {
        if is_disruptive(character) && !keeps(character) {
            result.extend(character.escape_default());
        } else {
            result.push(character);
        }
    }
    result
}

/// Control characters, and those that change how their neighbours are read: direction marks,
/// overrides and isolates, line and paragraph separators, and those without any width.
pub fn is_disruptive(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_direction_marks_are_shown_not_obeyed() {
        assert_eq!(one_line("a\u{1b}[31mb"), "a\\u{1b}[31mb");
        assert_eq!(one_line("a\r\nb\tc"), "a\\r\\nb\\tc");
        assert_eq!(one_line("a\u{202e}b\u{9b}c"), "a\\u{202e}b\\u{9b}c");
        assert_eq!(one_line("a\u{200b}b\u{2066}c\u{61c}"), "a\\u{200b}b\\u{2066}c\\u{61c}");
        assert_eq!(lines("a\nb\u{7}"), "a\nb\\u{7}");
    }

    #[test]
    fn what_is_escaped_already_stays_as_it_is() {
        let once = one_line("a\u{202e}\nb");
        assert_eq!(one_line(&once), once);
    }

    #[test]
    fn ordinary_names_pass_unchanged() {
        for name in ["cache-orders-01", "缓存-生产", "Größe 5 · straße"] {
            assert_eq!(one_line(name), name);
        }
    }
}
