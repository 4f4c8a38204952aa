//! Points in time as text, RFC 3339.

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Parses a time into milliseconds since 1970; earlier times are 0. `None` if the text is not RFC 3339.
pub(crate) fn parse_instant(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let fits = bytes.len() >= 20 && text.is_ascii() && bytes[4] == b'-' && bytes[7] == b'-';
    if !fits || !matches!(bytes[10], b'T' | b't' | b' ') || bytes[13] != b':' || bytes[16] != b':' {
        return None;
    }
    let (year, month, day) = (number(&text[..4])?, number(&text[5..7])?, number(&text[8..10])?);
    let (hour, minute, second) = (number(&text[11..13])?, number(&text[14..16])?, number(&text[17..19])?);
    // A leap second counts as the first second of the next minute.
    if !(1..=12).contains(&month)
        || !(1..=days_of(year, month)).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let (fraction_ms, zone) = fraction(&text[19..])?;
    let seconds = (hour * 60 + minute) * 60 + second - offset_minutes(zone)? * 60;
    let ms = days_since_1970(year, month, day) * DAY_MS + seconds * 1000 + fraction_ms;
    Some(u64::try_from(ms).unwrap_or(0))
}

/// Formats milliseconds since 1970 as `2026-06-01T12:00:00.000Z`.
pub(crate) fn print_instant(ms: u64) -> String {
    let (days, rest) = ((ms / DAY_MS as u64) as i64, ms % DAY_MS as u64);
    let (year, month, day) = date_of(days);
    let (hour, minute, second) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", rest % 1000)
}

fn number(digits: &str) -> Option<i64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// Splits off the optional fraction of a second, in milliseconds.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let Some(rest) = text.strip_prefix('.') else { return Some((0, text)) };
    let count = rest.bytes().take_while(u8::is_ascii_digit).count();
    if count == 0 {
        return None;
    }
    let digits = format!("{:0<3}", &rest[..count.min(3)]);
    Some((number(&digits)?, &rest[count..]))
}

fn offset_minutes(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) =
        zone[1..].split_once(':').filter(|(hours, minutes)| hours.len() == 2 && minutes.len() == 2)?;
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 60 + minutes))
}

fn days_of(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Counts years from March, so that the leap day is the last one.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, in_era) = (year.div_euclid(400), year.rem_euclid(400));
    let in_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719_468
}

fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, in_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    (era * 400 + year, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn zones_fractions_and_letters_are_understood() {
        for text in [
            "2026-06-01T12:00:00Z",
            "2026-06-01t12:00:00.000z",
            "2026-06-01T14:30:00+02:30",
            "2026-06-01T00:00:00.0004-12:00",
        ] {
            assert_eq!(parse_instant(text), Some(1_780_315_200_000), "{text}");
        }
        assert_eq!(parse_instant("2024-02-29T23:59:60.25Z"), Some(1_709_251_200_250));
        assert_eq!(parse_instant("1969-12-31T23:59:59Z"), Some(0));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "tomorrow",
            "2026-06-01",
            "2026-06-01T12:00:00",
            "2026-13-01T12:00:00Z",
            "2026-02-29T12:00:00Z",
            "2026-06-01T24:00:00Z",
            "2026-06-01T12:00:00.Z",
            "2026-06-01T12:00:00+2",
            "2026-06-01T12:00:00+25:00",
            "20é6-06-01T12:00:00Z",
        ] {
            assert_eq!(parse_instant(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_instant_is_read_back(ms in 0..253_402_300_800_000_u64) {
            prop_assert_eq!(parse_instant(&print_instant(ms)), Some(ms));
        }

        #[test]
        fn garbage_is_never_a_panic(text in "\\PC{0,30}") {
            parse_instant(&text);
        }
    }
}
