//! Money with a point, from the currency's minor unit.

use iso_currency::Currency;

/// How many digits a currency has behind the point (ISO 4217); `None` for one that is not known or that has no
/// minor unit, as gold.
pub fn digits(currency: &str) -> Option<u16> {
    Currency::from_code(currency)?.exponent()
}

/// An amount of a minor unit with its point: 1999 with 2 digits is `19.99`, with 0 it is `1999`.
pub fn decimal(minor: i128, digits: u16) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    let digits = usize::from(digits);
    let number = format!("{:0>width$}", minor.unsigned_abs(), width = digits + 1);
    match number.split_at(number.len() - digits) {
        (whole, "") => format!("{sign}{whole}"),
        (whole, fraction) => format!("{sign}{whole}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_has_its_currencys_digits() {
        for (minor, digits, expected) in [
            (1999, 2, "19.99"),
            (5, 2, "0.05"),
            (-5, 2, "-0.05"),
            (-1999, 3, "-1.999"),
            (1999, 0, "1999"),
            (0, 2, "0.00"),
        ] {
            assert_eq!(decimal(minor, digits), expected);
        }
        assert_eq!(
            ["EUR", "JPY", "KWD"].map(digits),
            [Some(2), Some(0), Some(3)]
        );
        assert_eq!(["XAU", "QQQ"].map(digits), [None, None]);
    }
}
