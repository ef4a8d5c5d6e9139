//! The `Date` of an answer as text (IMF-fixdate, RFC 9110 section 5.6.7). Never asks what time it is.

/// Bytes of an IMF-fixdate.
pub const DATE_BYTES: usize = 29;

/// A rendered date: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub type Date = [u8; DATE_BYTES];

/// Renders `unix_s`, seconds since 1970-01-01 00:00:00 UTC. From the year 10000 on it stays at the last second
/// of 9999: the format has four digits.
#[must_use]
pub fn imf_fixdate(unix_s: u64) -> Date {
    let unix_s = unix_s.min(LAST_SECOND);
    let (days, second) = (unix_s / DAY_S, unix_s % DAY_S);
    let (year, month, day) = civil(days);
    let mut date = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    // 1970-01-01 was a Thursday.
    date[..3].copy_from_slice(WEEKDAYS[(days % 7) as usize]);
    date[8..11].copy_from_slice(MONTHS[month]);
    for (at, number) in [
        (5, day),
        (12, year / 100),
        (14, year % 100),
        (17, second / 3600),
        (20, second / 60 % 60),
        (23, second % 60),
    ] {
        date[at] = b'0' + (number / 10) as u8;
        date[at + 1] = b'0' + (number % 10) as u8;
    }
    date
}

/// Year, month from 0, and day from 1 of the day `days` after 1970-01-01, Gregorian.
///
/// Years are counted from March, so that the leap day is a year's last, and in eras of 400 years, which all
/// have 146,097 days.
fn civil(days: u64) -> (u64, usize, u64) {
    let days = days + DAYS_TO_1970;
    let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March have 153 days in each run of five.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march as usize + 2) % 12;
    let year = era * 400 + year_of_era + u64::from(month < 2);
    (year, month, day)
}

const DAY_S: u64 = 86_400;
const DAYS_PER_ERA: u64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const DAYS_TO_1970: u64 = 719_468;
/// 9999-12-31 23:59:59.
const LAST_SECOND: u64 = 253_402_300_799;
const WEEKDAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_are_rendered() {
        for (unix_s, expected) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_164_800, "Thu, 29 Feb 2024 00:00:00 GMT"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (LAST_SECOND, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(str::from_utf8(&imf_fixdate(unix_s)), Ok(expected));
        }
    }

    #[test]
    fn every_day_of_nine_centuries_follows_the_one_before() {
        let mut expected = (1970, 0, 1);
        for days in 0..330_000 {
            assert_eq!(civil(days), expected);
            let (year, month, day) = expected;
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month];
            expected = match (day == length, month) {
                (false, _) => (year, month, day + 1),
                (true, 11) => (year + 1, 0, 1),
                (true, _) => (year, month + 1, 1),
            };
        }
    }
}
