package io.kvcache.spi;

/**
 * How long something takes, as a line over how much of it there is: {@code secondsPerUnit · units + fixedSeconds}.
 * A unit is a byte for loads and stores, a token for recomputation.
 *
 * @param secondsPerUnit slope, finite and at least 0
 * @param fixedSeconds what is paid however little there is, finite; negative where a line through large amounts
 *     meets zero above zero units, as lines of prefill time do
 */
public record DelayLine(double secondsPerUnit, double fixedSeconds) {
  /** How far from a typical amount predictions are still compared. */
  private static final long RANGE = 8;

  /** Checks every component. */
  public DelayLine {
    if (!(secondsPerUnit >= 0 && secondsPerUnit < Double.POSITIVE_INFINITY)) {
      throw new IllegalArgumentException(
          "secondsPerUnit is " + secondsPerUnit + ", must be finite and at least 0");
    }
    if (!Double.isFinite(fixedSeconds)) {
      throw new IllegalArgumentException("fixedSeconds is " + fixedSeconds + ", must be finite");
    }
  }

  /** Seconds that {@code units} are expected to take, never below 0. */
  public double seconds(double units) {
    return Math.max(0, secondsPerUnit * units + fixedSeconds);
  }

  /**
   * Whether the two lines predict delays that differ by more than {@code share} of the longer one, for any amount
   * from an eighth of {@code typicalUnits} to eight times as much. The ratio of two lines only rises or only falls,
   * so the ends of the range decide.
   */
  public boolean differsFrom(DelayLine other, double share, long typicalUnits) {
    if (!(share >= 0 && share <= 1)) {
      throw new IllegalArgumentException("share is " + share + ", must be 0 to 1");
    }
    return differsAt(Math.max(1, typicalUnits / RANGE), other, share)
        || differsAt(Math.multiplyExact(typicalUnits, RANGE), other, share);
  }

  private boolean differsAt(long units, DelayLine other, double share) {
    double mine = seconds(units);
    double its = other.seconds(units);
    return Math.abs(mine - its) > share * Math.max(mine, its);
  }
}
