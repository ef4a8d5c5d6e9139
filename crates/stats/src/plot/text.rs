//! What a picture is written with: escaped text, numbers of a fixed form, and how wide a text will be.
//!
//! Never knows what is drawn. The same input gives the same bytes: nothing here depends on a locale, a date or a random number.

/// `text` as it may stand between tags and in quoted attributes, of SVG and HTML alike. Control characters, which XML 1.0 (section
/// 2.2) has no place for, become U+FFFD.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' => escaped.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A coordinate: one decimal, without `.0` and without `-0`.
pub(super) fn coordinate(value: f64) -> String {
    trimmed(value, 1)
}

/// `value` with at most `decimals` decimals and no zeros at its end.
pub(super) fn trimmed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_string() } else { text.to_string() }
}

/// About how many units a text of size 12 takes. Fonts differ; this is wide for most, so that what is laid out by it does not overlap.
pub(super) fn width(text: &str) -> f64 {
    text.chars().count() as f64 * 7.0
}

/// At most `count` characters, with an ellipsis where some were left out.
pub(super) fn shortened(text: &str, count: usize) -> String {
    if text.chars().count() <= count {
        return text.to_string();
    }
    text.chars().take(count.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_escapes_from_a_text_or_an_attribute() {
        assert_eq!(
            escape("<script>'\"&</script>\u{1b}[0m"),
            "&lt;script&gt;&#39;&quot;&amp;&lt;/script&gt;\u{fffd}[0m"
        );
    }

    #[test]
    fn numbers_have_one_form() {
        for (value, text) in [
            (0.0, "0"),
            (-0.04, "0"),
            (1.0, "1"),
            (10.0, "10"),
            (0.25, "0.2"),
            (99.96, "100"),
            (-3.5, "-3.5"),
        ] {
            assert_eq!(coordinate(value), text, "{value}");
        }
        assert_eq!((trimmed(0.125, 3), trimmed(1200.0, 0)), ("0.125".to_string(), "1200".to_string()));
    }

    #[test]
    fn a_long_text_ends_with_an_ellipsis() {
        assert_eq!((shortened("abcd", 4), shortened("abcde", 4)), ("abcd".to_string(), "abc…".to_string()));
    }
}
