package io.kvcache.internal.delay;

import io.kvcache.spi.DelayLine;
import java.util.Arrays;
import java.util.Objects;

/**
 * A {@link DelayLine} learned from what was observed. Deterministic: the same observations in the same order give the
 * same line. Threads: any.
 *
 * <p>The promise, which the tests hold it to, for noise of 20 % and one observation in fifty 50 times too long, and
 * for typical amounts and up to 64 times as much: when every delay changes fourfold in either direction, the line is
 * within 25 % of the truth at most {@value #FOLLOWS_WITHIN} observations later, be it that amounts are equal or differ
 * a thousandfold, in 98 of 100 runs; when just the delay per unit does and makes up most of what is observed, in 95.
 * A change that shows in few observations is followed as the others are forgotten. A single observation 100 times too
 * long moves the line by less than 10 %, then and later.
 *
 * <p>The algorithm: delays differ by orders of magnitude and so does their noise, so that errors are taken relative to
 * the prediction, as logarithms. The line is the weighted least-squares fit over the last {@value #WINDOW}
 * observations, whose weight halves every {@value #HALF_LIFE}. How much an error {@code e} counts is bounded:
 * {@code e / (1 + (e / c)²)}, where {@code c} is {@value #CUT} times the errors' scale, from their median (the Cauchy
 * M-estimator; Holland and Welsch, 1977), so that an outlier counts less than an unlucky measurement; gross ones that
 * are rare do not count. That alone would follow a change only when it outweighs the past. So when most of the last
 * {@value #RECENT} errors are large and to one side, what came before is forgotten, as in an adaptive window (Bifet and
 * Gavaldà, 2007), but for the shape of the line. Where amounts hardly vary, slope and fixed part cannot be told apart;
 * a slight pull towards the line so far, scaled to the new level, keeps their ratio.
 */
public final class LineFit {
  /** Observations after which the line is within 25 % of the truth that changed fourfold. */
  static final int FOLLOWS_WITHIN = 24;

  /** Observations a seed counts as. */
  static final int SEED_OBSERVATIONS = 4;

  private static final int HALF_LIFE = 16;
  private static final int WINDOW = 64;
  private static final int RECENT = 8;
  private static final double CUT = 1.5;
  /** Bounds of the scale of the errors, a logarithm; within them it is estimated. */
  private static final double LEAST_SCALE = 0.02;
  private static final double MOST_SCALE = 0.5;
  private static final double USUAL_SCALE = 0.2;
  /** Makes the median of absolute errors an estimate of the standard deviation of a normal distribution. */
  private static final double MEDIAN_TO_DEVIATION = 1.4826;
  /** How many scales, and at the least how much, most recent errors must exceed for a change of level. */
  private static final double SHIFT_SCALES = 1.5;
  private static final double LEAST_SHIFT = 0.3;
  /** The line is never taken to be less than the observation divided by this: it may dip below zero. */
  private static final double MOST_RATIO = 64;
  /** Errors beyond this, fivefold, are left out as long as no larger share of all is. */
  private static final double GROSS_ERROR = Math.log(5);
  private static final double RARE = 1.0 / 8;
  /** Observations that the line so far counts as after a change of level. */
  private static final int SHAPE_OBSERVATIONS = 2;
  /** Weight of the pull towards the line so far, at both ends of what is typical. */
  private static final double PULL = 1;
  private static final int STEPS = 2;
  private static final int STEPS_AFTER_SHIFT = 8;
  private static final long NANOS = 1_000_000_000L;
  private static final double LEAST_SECONDS = 1e-12;
  private static final double[] WEIGHTS = new double[WINDOW];

  static {
    for (int age = 0; age < WINDOW; age++) {
      WEIGHTS[age] = Math.pow(0.5, (double) age / HALF_LIFE);
    }
  }

  private final double typicalUnits;
  private final double leastFixed;
  /** The window, oldest first; amounts in typical amounts. */
  private final double[] amounts = new double[WINDOW];
  private final double[] seconds = new double[WINDOW];
  private final double[] errors = new double[WINDOW];
  private final double[] sorted = new double[WINDOW];
  private int size;
  private double slope;
  private double fixed;
  private double scale = USUAL_SCALE;
  private long observations;

  /**
   * What a restart needs to go on with the line.
   *
   * @param line as learned
   * @param observations it rests on
   */
  public record State(DelayLine line, long observations) {
    /** Checks every component. */
    public State {
      Objects.requireNonNull(line, "line");
      if (observations < 0) {
        throw new IllegalArgumentException("observations is " + observations + ", must be at least 0");
      }
    }
  }

  /**
   * Starts with a line.
   *
   * @param seed the line until something is observed
   * @param weight observations it counts as, 0 to {@value #RECENT}; a guess that the first observation replaces has 0
   * @param typicalUnits amount about which predictions are wanted, at least 8
   * @param fixedMayBeNegative whether the fixed part may be learned to be below zero
   */
  public LineFit(DelayLine seed, int weight, long typicalUnits, boolean fixedMayBeNegative) {
    if (weight < 0 || weight > RECENT) {
      throw new IllegalArgumentException("weight is " + weight + ", must be 0 to " + RECENT);
    }
    if (typicalUnits < 8) {
      throw new IllegalArgumentException("typicalUnits is " + typicalUnits + ", must be at least 8");
    }
    this.typicalUnits = typicalUnits;
    leastFixed = fixedMayBeNegative ? Double.NEGATIVE_INFINITY : 0;
    slope = seed.secondsPerUnit() * typicalUnits;
    fixed = Math.max(leastFixed, seed.fixedSeconds());
    expect(weight);
  }

  /** Appends what the line says would be observed. */
  private void expect(int count) {
    for (int i = 0; i < count; i++) {
      double amount = i % 2 == 0 ? 1.0 / 8 : 8;
      append(amount, Math.max(LEAST_SECONDS, at(amount)));
    }
  }

  /** Forgets all but the last observations, and the line so far but for the few observations it counts as. */
  private void startOver(int last) {
    double[] lastAmounts = Arrays.copyOfRange(amounts, size - last, size);
    double[] lastSeconds = Arrays.copyOfRange(seconds, size - last, size);
    size = 0;
    expect(SHAPE_OBSERVATIONS);
    for (int i = 0; i < last; i++) {
      append(lastAmounts[i], lastSeconds[i]);
    }
  }

  /** Goes on where the fit that gave {@code state} was; that counts as a few observations. */
  public static LineFit restore(State state, long typicalUnits, boolean fixedMayBeNegative) {
    int weight = (int) Math.min(state.observations, RECENT);
    LineFit fit = new LineFit(state.line, weight, typicalUnits, fixedMayBeNegative);
    fit.observations = state.observations;
    return fit;
  }

  /** Takes note that {@code units} took {@code nanos}; amounts and times below 1 say nothing and are passed over. */
  public synchronized void observe(long units, long nanos) {
    if (units < 1 || nanos < 1) {
      return;
    }
    observations++;
    append(units / typicalUnits, (double) nanos / NANOS);
    double shift = shift();
    if (shift == 0) {
      fit(STEPS);
      return;
    }
    slope *= Math.exp(shift);
    fixed *= Math.exp(shift);
    startOver(sinceShift(shift));
    fit(STEPS_AFTER_SHIFT);
  }

  /** The line as of now. */
  public synchronized DelayLine line() {
    return new DelayLine(slope / typicalUnits, fixed);
  }

  /** How often something was observed, restarts included. */
  public synchronized long observations() {
    return observations;
  }

  /** What {@link #restore} goes on with. */
  public synchronized State state() {
    return new State(line(), observations);
  }

  private void append(double amount, double took) {
    keep(WINDOW - 1);
    amounts[size] = amount;
    seconds[size++] = took;
  }

  private void keep(int most) {
    int surplus = size - most;
    if (surplus > 0) {
      System.arraycopy(amounts, surplus, amounts, 0, most);
      System.arraycopy(seconds, surplus, seconds, 0, most);
      size = most;
    }
  }

  private double at(double amount) {
    return slope * amount + fixed;
  }

  /** What the line says of an observation, bounded from below: a line that dips below zero has no logarithm. */
  private double predicted(int i) {
    return Math.max(at(amounts[i]), seconds[i] / MOST_RATIO);
  }

  /** By how much, as a logarithm, most recent observations are off to one side; 0 when they are not. */
  private double shift() {
    int count = Math.min(size, RECENT);
    for (int k = 0; k < count; k++) {
      sorted[k] = error(size - count + k);
    }
    Arrays.sort(sorted, 0, count);
    double low = sorted[(count - 1) / 2];
    double high = sorted[count / 2];
    double middle = low > 0 ? low : high < 0 ? high : 0;
    return Math.abs(middle) > Math.max(LEAST_SHIFT, SHIFT_SCALES * scale) ? middle : 0;
  }

  /** Observations since the first of the recent ones that are off to the side of {@code shift}. */
  private int sinceShift(double shift) {
    int count = Math.min(size, RECENT);
    while (count > 1 && !((error(size - count) + shift) * Math.signum(shift) > LEAST_SHIFT)) {
      count--;
    }
    return count;
  }

  /** How far off the line is. Unbounded, unlike for the fit: a first observation may be any number of times a guess. */
  private double error(int i) {
    return Math.log(seconds[i] / Math.max(at(amounts[i]), LEAST_SECONDS));
  }

  private void fit(int steps) {
    for (int step = 0; step < steps; step++) {
      for (int i = 0; i < size; i++) {
        errors[i] = Math.log(seconds[i] / predicted(i));
      }
      estimateScale();
      solve(CUT * scale);
    }
  }

  private void estimateScale() {
    if (size < RECENT) {
      return;
    }
    for (int i = 0; i < size; i++) {
      sorted[i] = Math.abs(errors[i]);
    }
    Arrays.sort(sorted, 0, size);
    scale = Math.clamp(MEDIAN_TO_DEVIATION * sorted[size / 2], LEAST_SCALE, MOST_SCALE);
  }

  /** One step of iteratively reweighted least squares in relative errors. */
  private void solve(double cut) {
    Sums sums = new Sums();
    double level = 0;
    double weights = 0;
    double most = mostError();
    for (int i = 0; i < size; i++) {
      if (Math.abs(errors[i]) > most) {
        continue;
      }
      double weight = WEIGHTS[size - 1 - i];
      double ratio = errors[i] / cut;
      double error = errors[i] / (1 + ratio * ratio);
      double predicted = predicted(i);
      sums.add(weight, amounts[i] / predicted, 1 / predicted, Math.exp(error));
      level += weight * error;
      weights += weight;
    }
    double scaling = weights == 0 ? 1 : Math.exp(level / weights);
    pull(sums, 1.0 / 8, scaling);
    pull(sums, 8, scaling);
    sums.solve(this);
  }

  /**
   * Errors beyond which observations do not count at all. Bounding them is not enough where one of an unusual amount is
   * the only one about that end of the line; where they are not rare, though, the line is wrong.
   */
  private double mostError() {
    int gross = 0;
    for (int i = 0; i < size; i++) {
      gross += Math.abs(errors[i]) > GROSS_ERROR ? 1 : 0;
    }
    return gross <= size * RARE ? GROSS_ERROR : Double.POSITIVE_INFINITY;
  }

  private void pull(Sums sums, double amount, double scaling) {
    double target = at(amount) * scaling;
    double unit = Math.max(Math.max(target, slope * scaling * amount), LEAST_SECONDS);
    sums.add(PULL, amount / unit, 1 / unit, target / unit);
  }

  /** The normal equations of a line. */
  private static final class Sums {
    private double xx;
    private double xo;
    private double oo;
    private double xy;
    private double oy;

    void add(double weight, double x, double one, double y) {
      xx += weight * x * x;
      xo += weight * x * one;
      oo += weight * one * one;
      xy += weight * x * y;
      oy += weight * one * y;
    }

    void solve(LineFit fit) {
      double determinant = xx * oo - xo * xo;
      double slope = (xy * oo - oy * xo) / determinant;
      double fixed = (oy * xx - xy * xo) / determinant;
      if (!(slope >= 0)) {
        slope = 0;
        fixed = oy / oo;
      } else if (!(fixed >= fit.leastFixed)) {
        slope = xy / xx;
        fixed = fit.leastFixed;
      }
      if (Double.isFinite(slope) && Double.isFinite(fixed)) {
        fit.slope = slope;
        fit.fixed = fixed;
      }
    }
  }
}
