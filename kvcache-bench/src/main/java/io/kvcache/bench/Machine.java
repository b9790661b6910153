package io.kvcache.bench;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;

/** What this machine has. */
public final class Machine {
  private Machine() {}

  /** Memory of this machine or container, in bytes. */
  public static long memoryBytes() {
    return ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class).getTotalMemorySize();
  }
}
