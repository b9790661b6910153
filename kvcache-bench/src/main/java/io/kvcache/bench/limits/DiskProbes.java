package io.kvcache.bench.limits;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;

/**
 * How fast the disk under a directory reads and writes past the page cache, by block size and by how many threads
 * have a request under way. The file is filled first, so that reads find data and writes allocate nothing, as in
 * preallocated extents. It has no name while it is used and is gone when the process is.
 */
final class DiskProbes implements ProbeGroup {
  static final String READ = "disk read";
  static final String WRITE = "disk write";

  /** Least file that holds a few of the smallest blocks at every depth. */
  static final long MIN_FILE_BYTES = 1L << 20;

  private static final long[] BLOCKS = {64L << 10, 256L << 10, 1L << 20, 2L << 20, 4L << 20, 8L << 20};
  private static final int[] DEPTHS = {1, 2, 4};
  private static final int MAX_DEPTH = 4;
  private static final long PASS_BYTES = 128L << 20;
  private static final int ALIGNMENT = 4096;

  private final Arena arena = Arena.ofShared();
  private final FileChannel file;
  private final long fileBytes;
  private final List<MemorySegment> buffers = new ArrayList<>();

  /**
   * Creates and fills the file.
   *
   * @param bytes its size, at least {@link #MIN_FILE_BYTES}; rounded down to whole MiB
   */
  DiskProbes(Path directory, long bytes) throws IOException {
    fileBytes = bytes & -MIN_FILE_BYTES;
    file = open(directory);
    for (int i = 0; i < MAX_DEPTH; i++) {
      MemorySegment buffer = arena.allocate(BLOCKS[BLOCKS.length - 1], ALIGNMENT);
      Data.fill(buffer);
      buffers.add(buffer);
    }
    try {
      new Transfer(WRITE, MIN_FILE_BYTES, 1, fileBytes).pass();
    } catch (IOException | RuntimeException e) {
      close();
      throw e;
    }
  }

  private static FileChannel open(Path directory) throws IOException {
    Path path = Files.createTempFile(directory, "kvcache-limits-", ".tmp");
    try {
      return FileChannel.open(path, StandardOpenOption.READ, StandardOpenOption.WRITE,
          StandardOpenOption.DELETE_ON_CLOSE, direct());
    } catch (IOException | UnsupportedOperationException e) {
      Files.deleteIfExists(path);
      throw new IOException(
          directory + " is on a file system without O_DIRECT (" + Files.getFileStore(directory).type()
              + "); name another with --dir",
          e);
    }
  }

  /** Looked up by name: the constant is in no standard package, and the compiler's warning cannot be turned off. */
  private static OpenOption direct() {
    try {
      Class<?> options = Class.forName("com.sun.nio.file.ExtendedOpenOption");
      return (OpenOption) options.getField("DIRECT").get(null);
    } catch (ReflectiveOperationException e) {
      throw new UnsupportedOperationException("this JVM has no O_DIRECT", e);
    }
  }

  @Override
  public List<Probe> probes() {
    List<Probe> probes = new ArrayList<>();
    for (String family : List.of(WRITE, READ)) {
      for (long block : BLOCKS) {
        for (int depth : DEPTHS) {
          if (block * depth <= fileBytes) {
            probes.add(new Transfer(family, block, depth, Math.min(PASS_BYTES, fileBytes)));
          }
        }
      }
    }
    return probes;
  }

  @Override
  public void close() throws IOException {
    arena.close();
    file.close();
  }

  /** Moves blocks in file order with some threads, each of which waits for its own; passes go round the file. */
  private final class Transfer implements Probe {
    private final String family;
    private final long block;
    private final int depth;
    private final long passBytes;
    private final long wholeBlocks;
    private long position;

    Transfer(String family, long block, int depth, long passBytes) {
      this.family = family;
      this.block = block;
      this.depth = depth;
      this.passBytes = passBytes / block * block;
      wholeBlocks = fileBytes / block * block;
    }

    @Override
    public String family() {
      return family;
    }

    @Override
    public String variant() {
      return Units.bytes(block) + " x " + depth;
    }

    @Override
    public long pass() throws IOException {
      Queue<ByteBuffer> free = new ConcurrentLinkedQueue<>();
      buffers.subList(0, depth).forEach(buffer -> free.add(buffer.asSlice(0, block).asByteBuffer()));
      Workers.run(depth, Math.toIntExact(passBytes / block), number -> {
        ByteBuffer buffer = free.remove();
        transfer(buffer.clear(), (position + number * block) % wholeBlocks);
        free.add(buffer);
      });
      if (family.equals(WRITE)) {
        file.force(false);
      }
      position = (position + passBytes) % wholeBlocks;
      return passBytes;
    }

    private void transfer(ByteBuffer buffer, long offset) throws IOException {
      int moved = family.equals(READ) ? file.read(buffer, offset) : file.write(buffer, offset);
      if (moved != block) {
        throw new IOException(family + " of " + block + " bytes at " + offset + " moved " + moved);
      }
    }
  }
}
