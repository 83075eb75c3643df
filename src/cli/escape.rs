//! Text from the cloud, from files and from operators, made harmless for a terminal.
//!
//! An instance's name is anybody's text: it must not move the cursor, recolour the screen, reverse
//! the reading direction or pretend to be a second line.

/// One line: control characters, line breaks included, and direction marks are shown escaped.
pub fn line(text: &str) -> String {
    escaped(text, |_| false)
}

/// Several lines: line breaks stay, everything else is escaped as in [`line()`].
pub fn block(text: &str) -> String {
    escaped(text, |character| character == '\n')
}

fn escaped(text: &str, keeps: impl Fn(char) -> bool) -> String {
    let mut result = String::with_capacity(text.len());
    for character in text.chars() {
        if keeps(character) || !(character.is_control() || turns_text(character)) {
            result.push(character);
        } else {
            result.extend(character.escape_default());
        }
    }
    result
}

/// Characters that change how their neighbours are read: direction marks, overrides and isolates,
/// line and paragraph separators, and those without any width.
fn turns_text(character: char) -> bool {
    matches!(
        character,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_direction_marks_are_shown_not_obeyed() {
        assert_eq!(line("a\u{1b}[31mb"), "a\\u{1b}[31mb");
        assert_eq!(line("a\r\nb\tc"), "a\\r\\nb\\tc");
        assert_eq!(line("a\u{202e}b\u{9b}c"), "a\\u{202e}b\\u{9b}c");
        assert_eq!(block("a\nb\u{7}"), "a\nb\\u{7}");
    }

    #[test]
    fn ordinary_names_pass_unchanged() {
        for name in ["cache-orders-01", "缓存-生产", "Größe 5 · straße"] {
            assert_eq!(line(name), name);
        }
    }
}
