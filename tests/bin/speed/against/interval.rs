//! Between which bounds a ratio lies that was measured several times.

use std::fmt;

/// Student's t that is passed by one value in forty, by degrees of freedom from 1 on (two-sided
/// 95 %; any table of the distribution).
const T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];

/// A ratio's geometric mean, and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Interval {
    pub(super) ratio: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Interval {
    /// Of ratios that were measured in pairs, each given by its logarithm; `None` for fewer than
    /// two.
    pub(super) fn of(logarithms: &[f64]) -> Option<Interval> {
        let freedom = logarithms.len().checked_sub(1)?;
        // Beyond the table t falls only to 1.960: the last one is a little too wide.
        let t = T.get(freedom.checked_sub(1)?.min(T.len() - 1))?;
        let count = logarithms.len() as f64;
        let mean = logarithms.iter().sum::<f64>() / count;
        let squares = logarithms.iter().map(|one| (one - mean).powi(2));
        let deviation = (squares.sum::<f64>() / freedom as f64).sqrt();
        let half = t * deviation / count.sqrt();
        Some(Interval {
            ratio: mean.exp(),
            low: (mean - half).exp(),
            high: (mean + half).exp(),
        })
    }

    /// Whether even its upper end is below a ratio.
    pub(super) fn is_wholly_below(&self, ratio: f64) -> bool {
        self.high < ratio
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} to {:.3}", self.low, self.high)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(ratios: &[f64]) -> Interval {
        let logarithms: Vec<f64> = ratios.iter().map(|ratio| ratio.ln()).collect();
        Interval::of(&logarithms).unwrap()
    }

    #[test]
    fn one_round_has_no_interval() {
        assert_eq!(Interval::of(&[]), None);
        assert_eq!(Interval::of(&[0.1]), None);
    }

    #[test]
    fn interval_is_as_wide_as_the_rounds_differ() {
        let steady = of(&[0.95; 5]);
        assert!((steady.low - 0.95).abs() < 1e-9 && (steady.high - 0.95).abs() < 1e-9);
        assert!(steady.is_wholly_below(0.97));
        // Logarithms ±h around 0: the mean is 0, the deviation h * sqrt(4 / 3), t(3) is 3.182.
        let restless = of(&[0.9, 1.0 / 0.9, 0.9, 1.0 / 0.9]);
        let half = 3.182 * (0.9_f64.ln().abs() * (4.0_f64 / 3.0).sqrt()) / 2.0;
        assert!((restless.ratio - 1.0).abs() < 1e-9);
        assert!((restless.high - half.exp()).abs() < 1e-9);
        assert!(!restless.is_wholly_below(0.97));
    }

    #[test]
    fn slowness_counts_only_where_the_rounds_agree_on_it() {
        assert!(!of(&[0.7, 1.0, 0.8, 1.1]).is_wholly_below(0.97));
        assert!(of(&[0.92, 0.94, 0.93, 0.92]).is_wholly_below(0.97));
    }
}
