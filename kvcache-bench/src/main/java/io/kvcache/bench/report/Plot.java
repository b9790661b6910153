package io.kvcache.bench.report;

import java.util.List;

/**
 * Points in the plane, of several series.
 *
 * @param title what is to be seen
 * @param x the horizontal axis
 * @param y the vertical axis
 * @param series in the order of the legend
 */
public record Plot(String title, Axis x, Axis y, List<Series> series) {
  /** Copies the list. */
  public Plot {
    series = List.copyOf(series);
  }

  /**
   * An axis.
   *
   * @param label the quantity, with its unit
   * @param logarithmic whether it has a logarithmic scale; points that are not above 0 are then left out
   */
  public record Axis(String label, boolean logarithmic) {}

  /**
   * Points that belong together.
   *
   * @param name in the legend
   * @param joined whether a line goes through them, in their order
   */
  public record Series(String name, boolean joined, List<Point> points) {
    /** Copies the list. */
    public Series {
      points = List.copyOf(points);
    }
  }

  /**
   * A point.
   *
   * @param label shown when it is pointed at
   */
  public record Point(double x, double y, String label) {}
}
