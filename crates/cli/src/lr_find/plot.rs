//! A curve of losses as text.

/// Columns and rows of the curve itself.
const WIDTH: usize = 64;
const HEIGHT: usize = 12;
/// How far above the first loss the curve is shown, in shares of what is below it.
const ABOVE: f64 = 0.5;

/// Losses from the left to the right at rising rates, on a logarithmic axis, where some rates have a mark. What is far above the first
/// loss is an arrow at the top.
pub(super) fn plot(points: &[(f64, f64)], marks: &[(f64, char)]) -> Vec<String> {
    let [Some(&(first_rate, first_loss)), Some(&(last_rate, _))] = [points.first(), points.last()] else {
        return Vec::new();
    };
    let [left, right] = [first_rate, last_rate].map(f64::log10);
    let losses = || points.iter().map(|&(_, loss)| loss);
    let bottom = losses().fold(f64::INFINITY, f64::min);
    let highest = losses().fold(f64::NEG_INFINITY, f64::max);
    let below = first_loss - bottom;
    let top = if below > 0.0 { highest.min(first_loss + ABOVE * below) } else { highest };
    let place = |share: f64, cells: usize| (share.clamp(0.0, 1.0) * (cells - 1) as f64).round() as usize;
    let column = |rate: f64| place((rate.log10() - left) / (right - left).max(f64::MIN_POSITIVE), WIDTH);
    let height = (top - bottom).max(f64::MIN_POSITIVE);
    let mut rows = vec![vec![' '; WIDTH]; HEIGHT];
    for &(rate, loss) in points {
        rows[place((top - loss) / height, HEIGHT)][column(rate)] = if loss > top { '↑' } else { '•' };
    }
    let label = |row: usize| match [0, HEIGHT / 2, HEIGHT - 1].contains(&row) {
        true => format!("{:>8.3}", top - height * row as f64 / (HEIGHT - 1) as f64),
        false => " ".repeat(8),
    };
    let line = |(row, cells): (usize, &Vec<char>)| {
        format!("{} │{}", label(row), cells.iter().collect::<String>()).trim_end().to_owned()
    };
    let mut lines: Vec<String> = rows.iter().enumerate().map(line).collect();
    let mut axis = vec!['─'; WIDTH];
    let mut labels = vec![' '; WIDTH + 8];
    // As many powers of ten as there is room for.
    for power in left.ceil() as i32..=right.floor() as i32 {
        let at = column(10_f64.powi(power));
        let label = format!("1e{power}");
        let place = at..at + label.len();
        let room = at.saturating_sub(1)..place.end + 1;
        if labels[room.start..room.end.min(WIDTH + 8)].iter().all(|&c| c == ' ') {
            axis[at] = '┴';
            labels.splice(place, label.chars());
        }
    }
    for &(rate, mark) in marks {
        axis[column(rate)] = mark;
    }
    lines.push(format!("{} └{}", " ".repeat(8), axis.iter().collect::<String>()));
    lines.push(format!("{}  {}", " ".repeat(8), labels.iter().collect::<String>()).trim_end().to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(losses: &[f64]) -> Vec<(f64, f64)> {
        losses.iter().enumerate().map(|(i, &loss)| (10_f64.powi(i as i32 - 4), loss)).collect()
    }

    #[test]
    fn a_curve_has_its_losses_rates_and_marks() {
        let lines = plot(&points(&[4.0, 3.0, 2.0, 30.0]), &[(1e-2, 'm')]);
        assert_eq!(lines.len(), HEIGHT + 2);
        assert!(lines[0].starts_with("   5.000 │") && lines[0].ends_with('↑'), "{lines:#?}");
        assert!(lines[HEIGHT - 1].starts_with("   2.000 │") && lines[HEIGHT - 1].ends_with('•'), "{lines:#?}");
        assert!(lines[HEIGHT].contains('m') && lines[HEIGHT + 1].contains("1e-4"), "{lines:#?}");
        assert_eq!(lines.iter().flat_map(|line| line.chars()).filter(|&c| c == '•').count(), 3);
    }

    #[test]
    fn a_level_curve_and_a_single_point_are_drawn() {
        for losses in [&[2.0; 4][..], &[2.0]] {
            assert!(plot(&points(losses), &[]).iter().any(|line| line.contains('•')));
        }
        assert!(plot(&[], &[]).is_empty());
    }
}
