package io.kvcache.compress;

import io.kvcache.DType;
import io.kvcache.compress.EntropyBuffers.Lanes;
import io.kvcache.compress.EntropyRow.Strand;
import io.kvcache.compress.kernel.RansKernels;
import io.kvcache.compress.kernel.StepKernels;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * Encodes blocks: one pass over the rows for what they are like, one for steps, one for residuals, one to count symbols
 * and one to code them. All that decides what is stored is computed in an order of its own in binary64, or in integers:
 * the same bytes on every machine.
 */
final class EntropyEncoder {
  /** Rows with more than this times the mean power are not what the others are measured by. */
  private static final double MOST_POWER = 64;

  /** A step is no smaller than this share of the greatest amount: binary32 could not tell more steps apart. */
  private static final double LEAST_SHARE = 0x1p-20;
  private static final double LEAST_STEP = 0x1p-100;

  private final EntropyPlan plan;
  private final EntropyBuffers buffers;
  private final MemorySegment source;
  private final MemorySegment target;
  private final float limit;

  EntropyEncoder(EntropyPlan plan, EntropyBuffers buffers, MemorySegment source, MemorySegment target) {
    this.plan = plan;
    this.buffers = buffers;
    this.source = source;
    this.target = target;
    // What is decoded must not round to infinity, nor may what is added on the way.
    limit = plan.shape().dtype() == DType.F16 ? 65504 : 0x1p126f;
  }

  /**
   * Encodes {@code rows} rows at {@code from} into a block at {@code to}.
   *
   * @return bytes of the block; 0, with nothing written, when it must stay raw: it would not get smaller, or too many
   *     rows cannot be approximated
   */
  long encode(long from, int rows, long to) {
    if (plan.shape().channels() == 0) {
      return 0;
    }
    measure(from, rows);
    if (tooManyRaw(rows)) {
      return 0;
    }
    float step = chooseStep(rows);
    chooseScales(rows, step);
    toSteps(from, rows, step);
    if (tooManyRaw(rows)) {
      return 0;
    }
    toResiduals(rows);
    classify(rows);
    EntropyHead head = buffers.head;
    head.begin(plan.mostHeadBytes(rows));
    writeHead(rows, step);
    int position = code(rows);
    return write(from, rows, to, position);
  }

  private boolean tooManyRaw(int rows) {
    return buffers.rawCount() > rows / 8;
  }

  /** Marks rows that are not finite, and takes sums over the rest. */
  private void measure(long from, int rows) {
    EntropyBuffers b = buffers;
    b.clearRaw();
    b.first.clearSums();
    b.second.clearSums();
    for (int row = 0; row < rows; row++) {
      read(from, row);
      int bits = Math.max(StepKernels.greatestBits(b.row.first.words, plan.first()),
          StepKernels.greatestBits(b.row.second.words, plan.second()));
      b.greatest[row] = Float.intBitsToFloat(bits);
      b.power[row] = 0;
      if (!(b.greatest[row] < limit)) {
        b.markRaw(row);
        continue;
      }
      b.power[row] = StepKernels.power(b.row.first.values, plan.first())
          + StepKernels.power(b.row.second.values, plan.second());
      accumulate();
    }
    if (markDominating(rows)) {
      b.first.clearSums();
      b.second.clearSums();
      for (int row = 0; row < rows; row++) {
        if (!b.rawRow(row)) {
          read(from, row);
          accumulate();
        }
      }
    }
  }

  private void accumulate() {
    EntropyBuffers b = buffers;
    StepKernels.accumulate(b.row.first.values, b.first.sums, b.first.squares, plan.first());
    StepKernels.accumulate(b.row.second.values, b.second.sums, b.second.squares, plan.second());
  }

  /** Marks rows beside which all others would round to nothing; whether there are any. */
  private boolean markDominating(int rows) {
    EntropyBuffers b = buffers;
    boolean any = false;
    boolean again = true;
    while (again) { // what was in the shadow of one may stand out without it
      again = false;
      double most = MOST_POWER * meanPower(rows);
      for (int row = 0; row < rows; row++) {
        if (!b.rawRow(row) && b.power[row] > most) {
          b.markRaw(row);
          again = true;
        }
      }
      any |= again;
    }
    return any;
  }

  /** Of the rows that are not raw. Added up anew each time: without the greatest, nothing might be left of a sum. */
  private double meanPower(int rows) {
    EntropyBuffers b = buffers;
    double power = 0;
    for (int row = 0; row < rows; row++) {
      power += b.rawRow(row) ? 0 : b.power[row];
    }
    return power / (rows - b.rawCount());
  }

  /** Chooses the step of the block, and of how many steps the mean of each channel is. */
  private float chooseStep(int rows) {
    EntropyBuffers b = buffers;
    int count = rows - b.rawCount();
    double variance = (spread(b.first, plan.first(), count) + spread(b.second, plan.second(), count))
        / ((double) count * plan.shape().channels());
    float greatest = 0;
    for (int row = 0; row < rows; row++) {
      greatest = b.rawRow(row) ? greatest : Math.max(greatest, b.greatest[row]);
    }
    double least = Math.max(greatest * LEAST_SHARE, LEAST_STEP);
    float step = (float) Math.max(plan.level().step(plan.shape().half()) * Math.sqrt(variance), least);
    chooseMeans(b.first, plan.first(), count, step);
    chooseMeans(b.second, plan.second(), count, step);
    return step;
  }

  /** The sum of squared distances from the channels' means. */
  private static double spread(Lanes lanes, int n, int count) {
    double sum = 0;
    for (int i = 0; i < n; i++) {
      sum += Math.max(0, lanes.squares[i] - lanes.sums[i] * lanes.sums[i] / count);
    }
    return sum;
  }

  private static void chooseMeans(Lanes lanes, int n, int count, float step) {
    for (int i = 0; i < n; i++) {
      lanes.meanSteps[i] = (int) Math.floor(lanes.sums[i] / count / step + 0.5);
      lanes.mean[i] = lanes.meanSteps[i] * step;
    }
  }

  /** Chooses the scale of each token of values; one that could decode to more than its type holds stays raw. */
  private void chooseScales(int rows, float step) {
    EntropyBuffers b = buffers;
    double mean = meanPower(rows);
    for (int row = 0; row < rows; row++) {
      int scale = EntropyQuantizer.SCALE_OF_ONE;
      if (!plan.keys() && mean > 0) {
        scale =
            Math.clamp((long) Math.getExponent(b.power[row] / mean) + EntropyQuantizer.SCALE_OF_ONE, 0, 15);
      }
      b.scales[row] = (byte) scale;
      if (!(b.greatest[row] + EntropyQuantizer.scaled(step, scale) < limit)) {
        b.markRaw(row);
      }
    }
  }

  /** Rounds rows to steps; for keys it adds up what successive tokens have in common. */
  private void toSteps(long from, int rows, float step) {
    EntropyBuffers b = buffers;
    b.first.clearProducts();
    b.second.clearProducts();
    for (int row = 0; row < rows; row++) {
      if (b.rawRow(row)) {
        continue;
      }
      read(from, row);
      float inverse = 1 / EntropyQuantizer.scaled(step, b.scales[row]);
      int greatest = Math.max(toSteps(b.row.first, b.first, inverse, row, plan.first()),
          toSteps(b.row.second, b.second, inverse, row, plan.second()));
      if (greatest >= 1 << plan.residualBits() - 1) {
        b.markRaw(row);
      } else if (plan.keys()) {
        correlate(b.first, plan.first());
        correlate(b.second, plan.second());
      }
    }
  }

  private int toSteps(Strand strand, Lanes lanes, float inverse, int row, int n) {
    StepKernels.toSteps(strand.values, lanes.mean, inverse, lanes.steps, n);
    StepKernels.narrow(lanes.steps, lanes.keptSteps, row * plan.lanes(), n);
    return StepKernels.greatest(lanes.steps, n);
  }

  private static void correlate(Lanes lanes, int n) {
    StepKernels.correlate(lanes.steps, lanes.previous, lanes.squares, lanes.products, n);
    System.arraycopy(lanes.steps, 0, lanes.previous, 0, n);
  }

  private void toResiduals(int rows) {
    EntropyBuffers b = buffers;
    choosePredictors(b.first, plan.first());
    choosePredictors(b.second, plan.second());
    for (int row = 0; row < rows; row++) {
      toResiduals(b.first, row, plan.first());
      toResiduals(b.second, row, plan.second());
      if (plan.level().lowBits() > 0) {
        // Of an odd number of channels the last has no partner.
        Arrays.fill(b.second.residuals, plan.second(), plan.first(), 0);
        StepKernels.joinLow(b.first.residuals, b.second.residuals, b.low, row * plan.first(),
            plan.first());
      }
    }
  }

  /**
   * Chooses how many quarters of a step's predecessor to expect: that which leaves least. With {@code S} the squares
   * and {@code P} the products, {@code q} quarters leave {@code S + (q² · S − 8 · q · P) / 16}.
   */
  private void choosePredictors(Lanes lanes, int n) {
    Arrays.fill(lanes.quarters, 0);
    for (int i = 0; i < n; i++) {
      double least = 0;
      for (int code = 1; code < EntropyQuantizer.PREDICTORS && plan.keys(); code++) {
        int quarters = EntropyQuantizer.quarters(code);
        double left = quarters * quarters * lanes.squares[i] - 8 * quarters * lanes.products[i];
        if (left < least) {
          least = left;
          lanes.quarters[i] = quarters;
        }
      }
    }
    Arrays.fill(lanes.previous, 0);
    Arrays.fill(lanes.energy, 0);
  }

  private void toResiduals(Lanes lanes, int row, int n) {
    int at = row * plan.lanes();
    int low = plan.level().lowBits();
    if (buffers.rawRow(row)) {
      Arrays.fill(lanes.residuals, 0, n, 0);
      StepKernels.fromResiduals(lanes.residuals, lanes.quarters, lanes.previous, plan.residualBits(), n);
    } else {
      StepKernels.widen(lanes.keptSteps, at, lanes.steps, n);
      StepKernels.toResiduals(
          lanes.steps, lanes.quarters, lanes.previous, plan.residualBits(), lanes.residuals, n);
    }
    StepKernels.addEnergy(lanes.residuals, low, lanes.energy, n);
    StepKernels.narrow(lanes.residuals, low, lanes.coded, at, n);
    Arrays.fill(lanes.coded, at + n, at + plan.lanes(), (byte) 0);
  }

  /** Counts symbols and makes classes of channels. */
  private void classify(int rows) {
    EntropyTables tables = buffers.tables;
    int[] counts = tables.counts();
    count(buffers.first, plan.first(), rows, counts);
    count(buffers.second, plan.second(), rows, counts);
    tables.classify();
  }

  private void count(Lanes lanes, int n, int rows, int[] counts) {
    for (int i = 0; i < n; i++) {
      lanes.octave[i] = EntropyTables.octave(lanes.energy[i], rows);
      lanes.base[i] = EntropyTables.countsOf(lanes.octave[i]);
    }
    for (int row = 0; row < rows; row++) {
      int at = row * plan.lanes();
      for (int i = 0; i < n; i++) {
        counts[lanes.base[i] + (lanes.coded[at + i] & 0xff)]++;
      }
    }
  }

  private void writeHead(int rows, float step) {
    EntropyBuffers b = buffers;
    EntropyHead head = b.head;
    boolean someRaw = b.rawCount() > 0;
    head.put(EntropyPlan.MODE_CODED);
    head.put(b.tables.classes() - 1 | (someRaw ? EntropyPlan.SOME_RAW : 0));
    head.putInt(Float.floatToRawIntBits(step));
    if (someRaw) {
      for (int row = 0; row < rows; row += Byte.SIZE) {
        head.put((int) (b.rawRows[row / Long.SIZE] >>> row));
      }
    }
    if (!plan.keys()) {
      for (int row = 0; row < rows; row += 2) {
        head.put(b.scales[row] | (row + 1 < rows ? b.scales[row + 1] << 4 : 0));
      }
    }
    int channels = plan.shape().channels();
    for (int channel = 0; channel < channels; channel += 2) {
      head.put(classOf(channel) | (channel + 1 < channels ? classOf(channel + 1) << 4 : 0));
    }
    for (int channel = 0; plan.keys() && channel < channels; channel += 4) {
      int codes = 0;
      for (int i = 0; i < Math.min(4, channels - channel); i++) {
        codes |= EntropyQuantizer.predictor(lanes(channel + i).quarters[lane(channel + i)]) << 2 * i;
      }
      head.put(codes);
    }
    for (int channel = 0; channel < channels; channel++) {
      int mean = lanes(channel).meanSteps[lane(channel)];
      head.putVarint(mean << 1 ^ mean >> 31);
    }
    b.tables.write(head);
  }

  private Lanes lanes(int channel) {
    return channel < plan.first() ? buffers.first : buffers.second;
  }

  private int lane(int channel) {
    return channel < plan.first() ? channel : channel - plan.first();
  }

  private int classOf(int channel) {
    return buffers.tables.classOf(lanes(channel).octave[lane(channel)]);
  }

  /** Codes all symbols; returns where in the words the first one is. */
  private int code(int rows) {
    EntropyBuffers b = buffers;
    pointToEntries(b.first, plan.first());
    pointToEntries(b.second, plan.second());
    Arrays.fill(b.states, RansKernels.LEAST_STATE);
    int position = plan.mostWords(rows) + 1;
    for (int row = rows - 1; row >= 0; row--) {
      position = RansKernels.encode(b.tables.entries, b.tables.reciprocals, b.first.base, b.second.base,
          b.first.coded, b.second.coded, row * plan.lanes(), b.words, position, b.states, plan.lanes());
    }
    return position;
  }

  private void pointToEntries(Lanes lanes, int n) {
    for (int i = 0; i < plan.lanes(); i++) {
      int number = i < n ? buffers.tables.classOf(lanes.octave[i]) : buffers.tables.classes();
      lanes.base[i] = EntropyTables.entriesOf(number);
    }
  }

  private long write(long from, int rows, long to, int position) {
    EntropyBuffers b = buffers;
    int count = plan.mostWords(rows) + 1 - position;
    b.head.putVarint(count);
    int low = plan.lowBytes(rows);
    long bytes = b.head.length() + (long) Long.BYTES * RansKernels.STATES + low + 4L * count
        + (long) b.rawCount() * plan.rowBytes();
    if (bytes > plan.rawBytes(rows)) { // a raw block has a byte more than that
      return 0;
    }
    b.head.copyTo(target, to);
    long at = to + b.head.length();
    MemorySegment.copy(b.states, 0, target, Segments.LONG, at, RansKernels.STATES);
    at += (long) Long.BYTES * RansKernels.STATES;
    MemorySegment.copy(b.low, 0, target, Segments.BYTE, at, low);
    at += low;
    MemorySegment.copy(b.words, position, target, Segments.INT, at, count);
    at += 4L * count;
    for (int row = 0; row < rows; row++) {
      if (b.rawRow(row)) {
        MemorySegment.copy(source, from + (long) row * plan.rowBytes(), target, at, plan.rowBytes());
        at += plan.rowBytes();
      }
    }
    return bytes;
  }

  private void read(long from, int row) {
    buffers.row.read(plan.shape(), source, from + (long) row * plan.rowBytes());
  }
}
