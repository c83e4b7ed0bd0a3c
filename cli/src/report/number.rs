//! How numbers are shown: few digits, units, and a dash for what is not a number.

/// Shown for an absent value.
pub(super) const ABSENT: &str = "–";

/// A whole number, its thousands set apart.
pub(super) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            // A narrow space that does not break lines.
            shown.push('\u{202f}');
        }
        shown.push(digit);
    }
    shown
}

/// A number of things with the word for one of them.
pub(super) fn counted(value: u64, word: &str) -> String {
    let ending = match word.ends_with('s') {
        _ if value == 1 => "",
        true => "es",
        false => "s",
    };
    format!("{}\u{a0}{word}{ending}", count(value))
}

/// A value between 0 and 1, with three decimals.
pub(super) fn score(value: f64) -> String {
    if value.is_finite() { format!("{value:.3}") } else { ABSENT.to_owned() }
}

/// A difference of scores with its sign.
pub(super) fn gain(value: f64) -> String {
    let shown = format!("{:.3}", value.abs());
    if !value.is_finite() {
        ABSENT.to_owned()
    } else if shown == "0.000" {
        "±0".to_owned()
    } else {
        format!("{}{shown}", if value < 0.0 { '−' } else { '+' })
    }
}

/// A share of a whole as per cent.
pub(super) fn per_cent(share: f64) -> String {
    if share.is_finite() { format!("{:.0}\u{a0}%", share * 100.0) } else { ABSENT.to_owned() }
}

/// A value of any size with two significant digits, for where space is short.
pub(super) fn brief(value: f64) -> String {
    rounded(value, 2)
}

/// A value of any size with three significant digits.
pub(super) fn significant(value: f64) -> String {
    rounded(value, 3)
}

fn rounded(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return ABSENT.to_owned();
    }
    let magnitude = value.abs();
    if magnitude >= 1000.0 {
        let sign = if value < 0.0 { "−" } else { "" };
        return if magnitude < 1e15 {
            format!("{sign}{}", count(magnitude.round() as u64))
        } else {
            format!("{value:.*e}", digits - 1)
        };
    }
    if magnitude == 0.0 {
        return "0".to_owned();
    }
    if magnitude < 1e-3 {
        return format!("{value:.*e}", digits - 1);
    }
    let whole_digits = magnitude.log10().floor() as i32 + 1;
    let decimals = digits as i32 - whole_digits;
    format!("{value:.*}", usize::try_from(decimals).unwrap_or(0))
}

/// A duration in the two largest units that say something.
pub(super) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return ABSENT.to_owned();
    }
    let whole = seconds.round() as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60);
    match (days, hours, minutes, whole % 60) {
        (0, 0, 0, _) if seconds < 10.0 => format!("{seconds:.1}\u{a0}s"),
        (0, 0, 0, rest) => format!("{rest}\u{a0}s"),
        (0, 0, minutes, rest) => format!("{minutes}\u{a0}min {rest}\u{a0}s"),
        (0, hours, minutes, _) => format!("{hours}\u{a0}h {minutes}\u{a0}min"),
        (days, hours, ..) => format!("{days}\u{a0}d {hours}\u{a0}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(26_635_860), "26\u{202f}635\u{202f}860");
        assert_eq!(counted(1, "frame"), "1\u{a0}frame");
        assert_eq!(counted(2, "frame"), "2\u{a0}frames");
        assert_eq!(counted(3, "class"), "3\u{a0}classes");
    }

    #[test]
    fn numbers_keep_three_significant_digits() {
        let shown = [0.0, 0.012_345, 0.1234, 1.2345, 12.345, 123.45, 4321.9, 0.000_123].map(significant);
        assert_eq!(shown, ["0", "0.0123", "0.123", "1.23", "12.3", "123", "4\u{202f}322", "1.23e-4"]);
        assert_eq!(significant(f64::NAN), ABSENT);
        assert_eq!([0.0641, 0.912, 358.4].map(brief), ["0.064", "0.91", "358"]);
    }

    #[test]
    fn gains_carry_their_sign() {
        assert_eq!([0.0621, -0.02, 0.000_1].map(gain), ["+0.062", "−0.020", "±0"]);
    }

    #[test]
    fn durations_show_their_two_largest_units() {
        let shown = [4.25, 59.4, 252.0, 7260.0, 90_000.0].map(duration).map(|text| text.replace('\u{a0}', " "));
        assert_eq!(shown, ["4.2 s", "59 s", "4 min 12 s", "2 h 1 min", "1 d 1 h"]);
        assert_eq!(duration(f64::NAN), ABSENT);
    }
}
