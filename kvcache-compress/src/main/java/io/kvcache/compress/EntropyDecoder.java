package io.kvcache.compress;

import io.kvcache.compress.EntropyBuffers.Lanes;
import io.kvcache.compress.EntropyRow.Strand;
import io.kvcache.compress.kernel.RansKernels;
import io.kvcache.compress.kernel.StepKernels;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/** Decodes coded blocks, row by row. */
final class EntropyDecoder {
  private final EntropyPlan plan;
  private final EntropyBuffers buffers;
  private final MemorySegment stored;
  private final MemorySegment target;

  private float step;

  EntropyDecoder(EntropyPlan plan, EntropyBuffers buffers, MemorySegment stored, MemorySegment target) {
    this.plan = plan;
    this.buffers = buffers;
    this.stored = stored;
    this.target = target;
  }

  /** Decodes the block at {@code from} into {@code rows} rows at {@code to}; returns where the block ends. */
  long decode(long from, int rows, long to) throws MalformedDataException {
    EntropyBuffers b = buffers;
    int words = readHead(from, rows);
    long low = from + b.head.length() + (long) Long.BYTES * RansKernels.STATES;
    long wordsAt = low + plan.lowBytes(rows);
    long raw = wordsAt + 4L * words;
    long blockEnd = raw + (long) b.rawCount() * plan.rowBytes();
    if (blockEnd > stored.byteSize()) {
      throw new MalformedDataException(
          "stored has " + stored.byteSize() + " bytes, a block of it ends at " + blockEnd);
    }
    readStates(low - (long) Long.BYTES * RansKernels.STATES);
    b.wordsRead.begin(wordsAt, words, plan.lanes());
    b.fitLow(plan.first());
    Arrays.fill(b.first.steps, 0);
    Arrays.fill(b.second.steps, 0);
    for (int row = 0; row < rows; row++) {
      decodeSymbols();
      if (plan.level().lowBits() > 0) {
        addLow(low + (long) row * plan.first());
      }
      float scaled = EntropyQuantizer.scaled(step, b.scales[row]);
      dequantize(b.first, b.row.first, scaled, plan.first());
      dequantize(b.second, b.row.second, scaled, plan.second());
      long at = to + (long) row * plan.rowBytes();
      if (b.rawRow(row)) {
        MemorySegment.copy(stored, raw, target, at, plan.rowBytes());
        raw += plan.rowBytes();
      } else {
        b.row.write(plan.shape().dtype(), plan.first(), plan.second(), target, at);
      }
    }
    requireEnd();
    return blockEnd;
  }

  private void decodeSymbols() throws MalformedDataException {
    EntropyBuffers b = buffers;
    EntropyWords read = b.wordsRead;
    read.fill(stored, plan.lanes());
    read.position = RansKernels.decode(b.tables.slots, b.first.base, b.second.base, read.words, read.position,
        b.states, b.first.residuals, b.second.residuals, plan.lanes());
  }

  private void addLow(long from) {
    EntropyBuffers b = buffers;
    MemorySegment.copy(stored, Segments.BYTE, from, b.low, 0, plan.first());
    StepKernels.addFirstLow(b.first.residuals, b.low, plan.first());
    StepKernels.addSecondLow(b.second.residuals, b.low, plan.second());
  }

  private void dequantize(Lanes lanes, Strand strand, float scaled, int n) {
    StepKernels.fromResiduals(lanes.residuals, lanes.quarters, lanes.steps, plan.residualBits(), n);
    StepKernels.fromSteps(lanes.steps, scaled, lanes.mean, strand.values, n);
  }

  /** Reads a block's head; returns how many words there are. */
  private int readHead(long from, int rows) throws MalformedDataException {
    EntropyBuffers b = buffers;
    EntropyHead head = b.head;
    head.begin(stored, from, plan.mostHeadBytes(rows));
    head.get(); // the mode
    int flags = head.get();
    int classes = (flags & ~EntropyPlan.SOME_RAW) + 1;
    if (classes > EntropyTables.MOST) {
      throw new MalformedDataException("a block has " + classes + " classes, may have " + EntropyTables.MOST);
    }
    step = Float.intBitsToFloat(head.getInt());
    if (!(step > 0 && step < Float.POSITIVE_INFINITY)) {
      throw new MalformedDataException("the step of a block is " + step + ", must be finite and above 0");
    }
    readRows(rows, (flags & EntropyPlan.SOME_RAW) != 0);
    readChannels(classes);
    b.tables.read(head, classes);
    int words = head.getVarint();
    if (words < 0 || words > plan.mostWords(rows)) {
      throw new MalformedDataException("a block has " + words + " words, may have " + plan.mostWords(rows));
    }
    return words;
  }

  private void readRows(int rows, boolean someRaw) throws MalformedDataException {
    EntropyBuffers b = buffers;
    b.clearRaw();
    for (int row = 0; someRaw && row < rows; row += Byte.SIZE) {
      int bits = b.head.get();
      if (row + Byte.SIZE > rows && bits >>> rows - row != 0) {
        throw new MalformedDataException("a block of " + rows + " rows says that one behind them is raw");
      }
      b.rawRows[row / Long.SIZE] |= (long) bits << row;
    }
    if (plan.keys()) {
      Arrays.fill(b.scales, (byte) EntropyQuantizer.SCALE_OF_ONE);
      return;
    }
    for (int row = 0; row < rows; row += 2) {
      int pair = b.head.get();
      b.scales[row] = (byte) (pair & 15);
      if (row + 1 < rows) {
        b.scales[row + 1] = (byte) (pair >> 4);
      }
    }
  }

  private void readChannels(int classes) throws MalformedDataException {
    EntropyBuffers b = buffers;
    int channels = plan.shape().channels();
    for (int channel = 0; channel < channels; channel += 2) {
      int pair = b.head.get();
      pointToSlots(channel, pair & 15, classes);
      if (channel + 1 < channels) {
        pointToSlots(channel + 1, pair >> 4, classes);
      }
    }
    Arrays.fill(b.first.base, plan.first(), plan.lanes(), EntropyTables.slotsOf(classes));
    Arrays.fill(b.second.base, plan.second(), plan.lanes(), EntropyTables.slotsOf(classes));
    Arrays.fill(b.first.quarters, 0);
    Arrays.fill(b.second.quarters, 0);
    for (int channel = 0; plan.keys() && channel < channels; channel += 4) {
      int codes = b.head.get();
      for (int i = 0; i < Math.min(4, channels - channel); i++) {
        lanes(channel + i).quarters[lane(channel + i)] = EntropyQuantizer.quarters(codes >> 2 * i & 3);
      }
    }
    for (int channel = 0; channel < channels; channel++) {
      int code = b.head.getVarint();
      lanes(channel).mean[lane(channel)] = (code >>> 1 ^ -(code & 1)) * step;
    }
  }

  private void pointToSlots(int channel, int number, int classes) throws MalformedDataException {
    if (number >= classes) {
      throw new MalformedDataException(
          "channel " + channel + " is of class " + number + ", there are " + classes);
    }
    lanes(channel).base[lane(channel)] = EntropyTables.slotsOf(number);
  }

  private Lanes lanes(int channel) {
    return channel < plan.first() ? buffers.first : buffers.second;
  }

  private int lane(int channel) {
    return channel < plan.first() ? channel : channel - plan.first();
  }

  private void readStates(long from) throws MalformedDataException {
    MemorySegment.copy(stored, Segments.LONG, from, buffers.states, 0, RansKernels.STATES);
    for (long state : buffers.states) {
      if (state < RansKernels.LEAST_STATE) {
        throw new MalformedDataException("a state begins with " + state + ", out of range");
      }
    }
  }

  private void requireEnd() throws MalformedDataException {
    if (!buffers.wordsRead.used()) {
      throw new MalformedDataException("a block's symbols do not end where its words do");
    }
    for (long state : buffers.states) {
      if (state != RansKernels.LEAST_STATE) {
        throw new MalformedDataException("a state ends with " + state + ", not as it was begun with");
      }
    }
  }
}
