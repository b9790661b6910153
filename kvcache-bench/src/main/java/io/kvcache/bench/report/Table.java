package io.kvcache.bench.report;

import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;

/**
 * Rows of figures, each column as wide as it has to be. Columns of figures are aligned to the right, others to the
 * left. Cells come as they are to be read; an empty one stands for no figure. Not thread-safe.
 */
public final class Table {
  private final List<String> columns;
  private final List<List<String>> rows = new ArrayList<>();

  /** With these columns, and no rows yet. */
  public Table(String... columns) {
    this.columns = List.of(columns);
  }

  /**
   * Adds a row.
   *
   * @param cells one for each column
   * @return this table
   */
  public Table row(String... cells) {
    if (cells.length != columns.size()) {
      throw new IllegalArgumentException(cells.length + " cells, must be " + columns.size());
    }
    rows.add(List.of(cells));
    return this;
  }

  /** A figure with so many digits behind the point; nothing for NaN. */
  public static String figure(double value, int digits) {
    return Double.isNaN(value) ? "" : String.format(Locale.ROOT, "%." + digits + "f", value);
  }

  /** A figure with two significant digits whatever its size, such as {@code 1.8e-05}; nothing for NaN. */
  public static String small(double value) {
    return Double.isNaN(value) ? "" : value == 0 ? "0" : String.format(Locale.ROOT, "%.1e", value);
  }

  /** Writes header and rows, one line each. */
  public void print(PrintWriter out) {
    int[] widths = IntStream.range(0, columns.size()).map(this::width).toArray();
    printLine(out, columns, widths);
    rows.forEach(row -> printLine(out, row, widths));
  }

  private int width(int column) {
    return rows.stream().mapToInt(row -> row.get(column).length()).reduce(columns.get(column).length(),
        Math::max);
  }

  private void printLine(PrintWriter out, List<String> cells, int[] widths) {
    StringBuilder line = new StringBuilder();
    for (int column = 0; column < widths.length; column++) {
      String padding = " ".repeat(widths[column] - cells.get(column).length());
      line.append(column == 0 ? "" : "  ");
      line.append(ofFigures(column) ? padding + cells.get(column) : cells.get(column) + padding);
    }
    out.println(line.toString().stripTrailing());
  }

  List<String> columns() {
    return columns;
  }

  List<List<String>> rows() {
    return rows;
  }

  /** Whether a column holds figures, and at least one. */
  boolean ofFigures(int column) {
    List<String> cells = rows.stream().map(row -> row.get(column)).filter(cell -> !cell.isEmpty()).toList();
    return !cells.isEmpty() && cells.stream().allMatch(cell -> cell.matches("[-+<≥≤]?[0-9.].*"));
  }
}
