#include "common/library_pages.h"

#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

/* Whether its code was changed when it was loaded: then it is not as in the file. */
static bool has_text_relocations(const struct dl_phdr_info *object)
{
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        if (object->dlpi_phdr[i].p_type != PT_DYNAMIC)
            continue;
        const ElfW(Dyn) *at = (const ElfW(Dyn) *)(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
        for (; at->d_tag != DT_NULL; at++)
            if (at->d_tag == DT_TEXTREL || (at->d_tag == DT_FLAGS && at->d_un.d_val & DF_TEXTREL))
                return true;
    }
    return false;
}

static int give_back(struct dl_phdr_info *object, size_t size, void *page_size)
{
    (void)size;
    bool is_program = !object->dlpi_name || !*object->dlpi_name;
    if (is_program || has_text_relocations(object))
        return 0;
    uintptr_t mask = *(const uintptr_t *)page_size - 1;
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || segment->p_flags & PF_W)
            continue;
        uintptr_t start = object->dlpi_addr + segment->p_vaddr, end = start + segment->p_filesz;
        start &= ~mask;
        madvise((void *)start, end - start, MADV_DONTNEED); /* rounds the length up to pages itself */
    }
    return 0;
}

void library_pages_give_back(void)
{
    uintptr_t page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
    dl_iterate_phdr(give_back, &page_size);
}
