package io.kvcache.bench.quality;

/** A root mean square of differences relative to that of what they are differences from, added up piece by piece. */
final class RelativeError {
  private double error;
  private double power;

  /** Takes in numbers of which nothing came back, until {@link #addKept} says otherwise of some of them. */
  void addDropped(float... exact) {
    for (float value : exact) {
      error += (double) value * value;
      power += (double) value * value;
    }
  }

  /** Says what came back of numbers that were taken for dropped. */
  void addKept(float[] exact, float[] back) {
    for (int i = 0; i < exact.length; i++) {
      double off = (double) exact[i] - back[i];
      error += off * off - (double) exact[i] * exact[i];
    }
  }

  /** Takes in numbers and what came back of them. */
  void add(float[] exact, float[] back) {
    for (int i = 0; i < exact.length; i++) {
      double off = (double) exact[i] - back[i];
      error += off * off;
      power += (double) exact[i] * exact[i];
    }
  }

  void add(RelativeError other) {
    error += other.error;
    power += other.power;
  }

  /** The error of all that was taken in. */
  double value() {
    return Math.sqrt(Math.max(0, error) / power);
  }
}
