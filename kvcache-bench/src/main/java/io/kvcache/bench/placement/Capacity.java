package io.kvcache.bench.placement;

import io.kvcache.bench.serving.WorkingSet;

/**
 * How much of the raw KV there is room for.
 *
 * @param name as the command line gives it: {@code 0.08/0.15}
 * @param dramShare of the memory tier
 * @param ssdShare of the disk tier
 */
record Capacity(String name, double dramShare, double ssdShare) {
  private static final double MOST = 10;

  /** Checks the components. */
  Capacity {
    if (!(dramShare > 0 && dramShare <= MOST && ssdShare > 0 && ssdShare <= MOST)) {
      throw malformed(name);
    }
  }

  /**
   * What a command line says.
   *
   * @throws IllegalArgumentException when it says something else
   */
  static Capacity parse(String text) {
    String[] shares = text.split("/", -1);
    if (shares.length != 2) {
      throw malformed(text);
    }
    try {
      return new Capacity(text, Double.parseDouble(shares[0]), Double.parseDouble(shares[1]));
    } catch (NumberFormatException noNumber) {
      throw malformed(text);
    }
  }

  private static IllegalArgumentException malformed(String text) {
    return new IllegalArgumentException(
        "'" + text + "' is not two shares such as 0.08/0.15, each above 0 and at most "
            + MOST);
  }

  /** The tiers that come of it. */
  Setting setting(WorkingSet documents, Throttle throttle) {
    return Setting.ofShares(documents, dramShare, ssdShare, throttle);
  }
}
