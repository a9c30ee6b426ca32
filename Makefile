# Builds the tools, their tests and installs them. Writes to build/ alone.
#
#   make                         the tools, in build/bin
#   make check                   the unit tests
#   make SAN=address,undefined   the same with sanitizers, in build/san
#   make WERROR=1                warnings are errors (as ./scripts/test builds)
#   make install DESTDIR= PREFIX=/usr/local          tools, manuals, completion
#   make install-systemd DESTDIR= PREFIX= UNITDIR=   units, their user, /etc/agent-actions
#   make uninstall DESTDIR= PREFIX= UNITDIR=         both again; not the configuration
#   make clean

VERSION := 0.1.0
PREFIX  ?= /usr/local
DESTDIR ?=
UNITDIR ?= $(PREFIX)/lib/systemd/system
CC      ?= cc
PKG_CONFIG ?= pkg-config

TOOLS := kcat-actions batch pgsink dlq healthd
BUILD := build$(if $(SAN),/san)

# What each tool links with, beyond lib/common.
LIBS_kcat-actions := $(shell $(PKG_CONFIG) --libs rdkafka) -ljq
LIBS_batch        :=
LIBS_pgsink       := $(shell $(PKG_CONFIG) --libs libpq libcrypto) -ljq
LIBS_dlq          := $(shell $(PKG_CONFIG) --libs rdkafka)
LIBS_healthd      := $(shell $(PKG_CONFIG) --libs libmicrohttpd)
LIBS_dev-broker   := $(shell $(PKG_CONFIG) --libs rdkafka)
LIBS_group-offsets := $(LIBS_dev-broker)
LIBS_group-members := $(LIBS_dev-broker)
LIBS_unit          = $(shell $(PKG_CONFIG) --libs cmocka libcrypto rdkafka)

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla \
            $(if $(WERROR),-Werror)
HARDENING := -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE \
             $(if $(SAN),,-D_FORTIFY_SOURCE=2)
OPTIMISE := $(if $(SAN),-O1,-O2) -g
CFLAGS   ?=
CPPFLAGS ?=
LDFLAGS  ?=
ALL_CPPFLAGS := -D_GNU_SOURCE -DVERSION='"$(VERSION)"' -Ilib -MMD -MP \
                $(shell $(PKG_CONFIG) --cflags rdkafka libpq libmicrohttpd libcrypto) $(CPPFLAGS)
ALL_CFLAGS   := -std=gnu17 $(OPTIMISE) $(WARNINGS) $(HARDENING) \
                $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=undefined) $(CFLAGS)
ALL_LDFLAGS  := -pie -Wl,-z,relro,-z,now,--as-needed $(if $(SAN),-fsanitize=$(SAN)) $(LDFLAGS)

COMMON_SOURCES := $(wildcard lib/common/*.c)
COMMON_OBJECTS := $(COMMON_SOURCES:%.c=$(BUILD)/obj/%.o)
COMMON         := $(BUILD)/lib/libcommon.a
BINARIES       := $(TOOLS:%=$(BUILD)/bin/%)
UNIT_TESTS     := $(patsubst test/unit/%.c,$(BUILD)/test/%,$(wildcard test/unit/test_*.c))

# `make V=1` shows the commands; otherwise there is a line for each file.
say = $(if $(V),,@printf '  %-4s %s\n' $(1) $@;)

.PHONY: all tests check fuzz install install-systemd uninstall clean
.SECONDARY:
all: $(BINARIES) $(addprefix $(BUILD)/bin/,dev-broker group-offsets group-members codec-proxy stats-writer http-load took) \
     $(BUILD)/lib/halt.so

$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

$(COMMON): $(COMMON_OBJECTS)
	@mkdir -p $(@D)
	@rm -f $@
	$(call say,AR)$(AR) rcs $@ $^

define tool_rule
$(BUILD)/bin/$(1): $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tools/$(1)/*.c)) $(COMMON)
	@mkdir -p $$(@D)
	$$(call say,LD)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $$@ $$^ $(LIBS_$(1)) -lm
endef
$(foreach tool,$(TOOLS),$(eval $(call tool_rule,$(tool))))

# dev-broker: the embedded broker of ./scripts/demo and the tests, librdkafka's mock cluster as a process.
# group-offsets, group-members: show the tests how far a consumer group is, and who is in it.
# codec-proxy: makes compression unknown between a broker and its client.
$(addprefix $(BUILD)/bin/,dev-broker group-offsets group-members codec-proxy): $(BUILD)/bin/%: $(BUILD)/obj/test/support/%.o
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_$*)

# For the tests of healthd: stats-writer plays a tool of a pipeline, http-load many clients. For the benchmark:
# took tells what a process took.
$(addprefix $(BUILD)/bin/,stats-writer http-load took): $(BUILD)/bin/%: $(BUILD)/obj/test/support/%.o $(COMMON)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ -lm

# halt.so: stops a tool at a named point, for the tests that kill it there. Not sanitized: it is preloaded.
$(BUILD)/lib/halt.so: test/support/halt.c Makefile
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(ALL_CPPFLAGS) -std=gnu17 -O2 -g $(WARNINGS) -fPIC -shared -o $@ $< -ldl

# healthd's page is a file of its own that the assembler puts in.
$(BUILD)/obj/tools/healthd/page_html.o: tools/healthd/page.html

$(BUILD)/test/%: $(BUILD)/obj/test/unit/%.o $(COMMON)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_unit) -lm

tests: $(UNIT_TESTS)
check: $(UNIT_TESTS)
	@for test in $(UNIT_TESTS); do echo "== $$test"; "$$test" || exit 1; done

# Random lines against the scanner and the line formats; how to run it stands in test/fuzz/driver.c.
fuzz: $(BUILD)/fuzz/fuzz_line
$(BUILD)/fuzz/fuzz_line: $(BUILD)/obj/test/fuzz/fuzz_line.o $(BUILD)/obj/test/fuzz/driver.o $(COMMON)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^

LIBEXEC     := $(PREFIX)/libexec/agent-actions
SHARE       := $(PREFIX)/share/agent-actions
MANUALS     := $(PREFIX)/share/man/man1
COMPLETIONS := $(PREFIX)/share/bash-completion/completions
SYSUSERS    := $(PREFIX)/lib/sysusers.d
UNITS       := $(wildcard deploy/systemd/*.service deploy/systemd/*.timer)

install: all
	install -d $(addprefix $(DESTDIR),$(PREFIX)/bin $(LIBEXEC) $(SHARE)/sql $(MANUALS) $(COMPLETIONS))
	install -m 755 scripts/agent-actions $(DESTDIR)$(PREFIX)/bin/
	install -m 755 $(BINARIES) scripts/lib/pipeline scripts/lib/cleanup $(DESTDIR)$(LIBEXEC)/
	install -m 644 scripts/lib/*.bash $(DESTDIR)$(LIBEXEC)/
	install -m 644 sql/*.sql $(DESTDIR)$(SHARE)/sql/
	for tool in $(TOOLS); do \
	    install -m 644 tools/$$tool/$$tool.1 $(DESTDIR)$(MANUALS)/agent-actions-$$tool.1 || exit; done
	install -m 644 scripts/agent-actions.1 $(DESTDIR)$(MANUALS)/
	install -m 644 scripts/completion.bash $(DESTDIR)$(COMPLETIONS)/agent-actions

# The units name the programs by their whole paths. A configuration that is there is left alone.
install-systemd:
	install -d $(addprefix $(DESTDIR),$(UNITDIR) $(SYSUSERS) /etc/agent-actions)
	for unit in $(UNITS); do \
	    sed 's|/usr/bin/agent-actions|$(PREFIX)/bin/agent-actions|; s|/usr/libexec|$(PREFIX)/libexec|' $$unit \
	        >$(DESTDIR)$(UNITDIR)/$${unit##*/} && chmod 644 $(DESTDIR)$(UNITDIR)/$${unit##*/} || exit; done
	install -m 644 deploy/systemd/agent-actions.sysusers $(DESTDIR)$(SYSUSERS)/agent-actions.conf
	[ -e $(DESTDIR)/etc/agent-actions/agent-actions.env ] || \
	    install -m 600 deploy/systemd/agent-actions.env $(DESTDIR)/etc/agent-actions/

uninstall:
	rm -rf $(DESTDIR)$(LIBEXEC) $(DESTDIR)$(SHARE)
	rm -f $(addprefix $(DESTDIR)$(MANUALS)/agent-actions,.1 $(TOOLS:%=-%.1)) \
	    $(DESTDIR)$(PREFIX)/bin/agent-actions $(DESTDIR)$(COMPLETIONS)/agent-actions \
	    $(addprefix $(DESTDIR)$(UNITDIR)/,$(notdir $(UNITS))) $(DESTDIR)$(SYSUSERS)/agent-actions.conf

clean:
	rm -rf build

-include $(shell find build -name '*.d' 2>/dev/null)
