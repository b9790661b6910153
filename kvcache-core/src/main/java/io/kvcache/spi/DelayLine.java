package io.kvcache.spi;

/**
 * How long something takes, as a line.
 *
 * @param secondsPerUnit slope, finite and not negative; a unit is a byte, or a token for computing
 * @param fixedSeconds what comes on top, finite; negative where the line was fitted to a curve that bends
 */
public record DelayLine(double secondsPerUnit, double fixedSeconds) {
  /** Checks every component. */
  public DelayLine {
    if (!(secondsPerUnit >= 0 && secondsPerUnit < Double.POSITIVE_INFINITY)
        || !(Math.abs(fixedSeconds) < Double.POSITIVE_INFINITY)) {
      throw new IllegalArgumentException("a delay line of " + secondsPerUnit + " s a unit and " + fixedSeconds
          + " s; the first must be finite and at least 0, the second finite");
    }
  }

  /** Seconds for so many units, at least 0. */
  public double seconds(double units) {
    return Math.max(0, secondsPerUnit * units + fixedSeconds);
  }
}
