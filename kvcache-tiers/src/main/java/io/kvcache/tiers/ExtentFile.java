package io.kvcache.tiers;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.util.Set;

/**
 * One file of extents. Positional reads and writes from any thread, concurrently.
 *
 * <p>An interrupt closes a Java file channel under every thread that uses it. Then the channel is opened again, the
 * call repeated and the interrupt handed on when it is done.
 */
final class ExtentFile implements AutoCloseable {
  /** Most bytes in one read: buffers end at 2 GiB. */
  private static final long MOST_PER_READ = 64 << 20;

  /** Most bytes in one write. The system queues all of a call at once, and reads wait behind it. */
  private static final long MOST_PER_WRITE = 4 << 20;

  private final Path path;
  private final Set<OpenOption> options;
  private final GroupSync sync = new GroupSync(() -> withChannel(channel -> {
    channel.force(false);
    return 0;
  }));
  private volatile FileChannel channel;
  private volatile boolean closed;

  /** A call on an open channel. */
  @FunctionalInterface
  private interface Call {
    long on(FileChannel channel) throws IOException;
  }

  ExtentFile(Path path, Set<OpenOption> options) throws IOException {
    this.path = path;
    this.options = options;
    channel = FileChannel.open(path, options);
  }

  long bytes() throws IOException {
    return withChannel(FileChannel::size);
  }

  void truncate(long bytes) throws IOException {
    withChannel(open -> open.truncate(bytes).position());
  }

  /** Writes all of {@code source}, which like {@code position} keeps to whole pages. */
  void write(long position, MemorySegment source) throws IOException {
    for (long done = 0; done < source.byteSize();) {
      ByteBuffer buffer = piece(source, done, MOST_PER_WRITE);
      long at = position + done;
      done += withChannel(open -> open.write(buffer.duplicate(), at));
    }
  }

  /** Fills {@code target}, which like {@code position} keeps to whole pages. */
  void read(long position, MemorySegment target) throws IOException {
    for (long done = 0; done < target.byteSize();) {
      ByteBuffer buffer = piece(target, done, MOST_PER_READ);
      long at = position + done;
      long got = withChannel(open -> open.read(buffer.duplicate(), at));
      if (got <= 0) {
        throw new IOException(path + " ends at " + bytes() + ", before " + (position + target.byteSize()));
      }
      done += got;
    }
  }

  /** Returns once everything written before the call is durable; shared with others who ask at the same time. */
  void sync() throws IOException {
    sync.sync();
  }

  @Override
  public void close() throws IOException {
    closed = true;
    channel.close();
  }

  private static ByteBuffer piece(MemorySegment segment, long offset, long most) {
    return segment.asSlice(offset, Math.min(most, segment.byteSize() - offset)).asByteBuffer();
  }

  private long withChannel(Call call) throws IOException {
    boolean interrupted = Thread.interrupted(); // else the call would start by closing the channel
    try {
      while (true) {
        FileChannel open = channel;
        try {
          return call.on(open);
        } catch (ClosedChannelException e) {
          interrupted |= Thread.interrupted();
          reopen(open, e);
        }
      }
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  private synchronized void reopen(FileChannel gone, ClosedChannelException cause) throws IOException {
    if (closed) {
      throw cause;
    }
    if (channel == gone) {
      channel = FileChannel.open(path, options);
    }
  }
}
