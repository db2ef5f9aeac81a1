//! Sizes, times and errors as people say them.

/// A sentence's beginning.
pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(letters).collect()
}

/// An error's text as a sentence.
pub fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    let end = if text.ends_with(['.', '?', '!']) {
        ""
    } else {
        "."
    };
    first.unwrap_or_default() + letters.as_str() + end
}

/// A size as people say it, in powers of 1024 as the limits are written.
pub fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a rounded figure")]
    let mut amount = bytes as f64;
    for unit in ["bytes", "KB", "MB", "GB"] {
        if amount < 999.5 {
            return figure(amount, unit);
        }
        amount /= 1024.0;
    }
    figure(amount, "TB")
}

/// Two figures are enough to compare by, and don't jump about.
fn figure(amount: f64, unit: &str) -> String {
    let decimals = usize::from(amount < 9.95);
    let figure = format!("{amount:.decimals$}");
    format!("{} {unit}", figure.trim_end_matches(".0"))
}

/// A time as people say it.
pub fn about(seconds: u64) -> String {
    match seconds.div_ceil(60) {
        0 | 1 => "a minute".to_owned(),
        minutes if minutes < 120 => format!("{minutes} minutes"),
        minutes => format!("{} hours", minutes / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_a_sentence_with_one_end() {
        for (text, said) in [
            ("the app ended", "The app ended."),
            ("is it there?", "Is it there?"),
            ("", "."),
        ] {
            assert_eq!(sentence(text), said);
        }
    }

    #[test]
    fn sizes_are_told_as_people_say_them() {
        for (bytes, said) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1000, "1 KB"),
            (1536, "1.5 KB"),
            (512 << 20, "512 MB"),
            (1000 << 20, "1 GB"),
            (8 << 30, "8 GB"),
            ((8 << 30) + (512 << 20), "8.5 GB"),
            (u64::MAX, "16777216 TB"),
        ] {
            assert_eq!(size(bytes), said);
        }
    }
}
