package io.kvcache;

import java.time.Duration;

/** Argument checks whose messages name the value and its limit. */
final class Checks {
  private Checks() {}

  static int requireBetween(int value, int least, int most, String name) {
    if (value < least || value > most) {
      throw new IllegalArgumentException(name + " is " + value + ", must be " + least + " to " + most);
    }
    return value;
  }

  static long requireBetween(long value, long least, long most, String name) {
    if (value < least || value > most) {
      throw new IllegalArgumentException(name + " is " + value + ", must be " + least + " to " + most);
    }
    return value;
  }

  static Duration requireMillisecond(Duration value, String name) {
    if (value.compareTo(Duration.ofMillis(1)) < 0) {
      throw new IllegalArgumentException(name + " is " + value + ", must be at least PT0.001S");
    }
    return value;
  }
}
