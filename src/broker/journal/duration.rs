//! Go's duration format.

use std::time::Duration;

/// Formats a duration as Go does: `850ns`, `12.5µs`, `7.596853ms`, `1.5s`, `2m0.25s`, `1h0m3s`: largest unit that
/// fits, full precision.
pub(super) fn go_text(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(nanos, 3)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(nanos, 6)),
        _ => whole_seconds(nanos),
    }
}

fn whole_seconds(nanos: u128) -> String {
    const MINUTE: u128 = 60_000_000_000;
    let (minutes, seconds) = (nanos / MINUTE, decimal(nanos % MINUTE, 9));
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// Writes `number` with its last `places` digits after a decimal point, without trailing zeros.
fn decimal(number: u128, places: u32) -> String {
    let unit = 10_u128.pow(places);
    let digits = format!("{:0width$}", number % unit, width = places as usize);
    match digits.trim_end_matches('0') {
        "" => (number / unit).to_string(),
        digits => format!("{}.{digits}", number / unit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(nanos: u64, expected: &str) {
        assert_eq!(go_text(Duration::from_nanos(nanos)), expected);
    }

    #[test]
    fn the_largest_unit_that_fits_is_used() {
        check(0, "0s");
        check(1, "1ns");
        check(999, "999ns");
        check(1_000, "1µs");
        check(999_999, "999.999µs");
        check(1_000_000, "1ms");
        check(7_596_853, "7.596853ms");
        check(1_000_000_000, "1s");
    }

    #[test]
    fn trailing_zeros_are_omitted_and_inner_ones_kept() {
        check(1_100, "1.1µs");
        check(1_000_001, "1.000001ms");
        check(20_500_000, "20.5ms");
        check(1_500_000_000, "1.5s");
        check(10_000_000_001, "10.000000001s");
    }

    #[test]
    fn minutes_and_hours_include_smaller_units() {
        check(60_000_000_000, "1m0s");
        check(119_999_000_000, "1m59.999s");
        check(3_600_000_000_000, "1h0m0s");
        check(90_061_250_000_000, "25h1m1.25s");
    }
}
