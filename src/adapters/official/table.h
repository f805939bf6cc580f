// Every official layout: one line each, the first that suits is written.
#pragma once
#include "adapters/official/layout.h"

namespace morex::adapters {

// The layout of this folder; null: it is PEFT's LoRA, or nobody's that we know.
const OfficialLayout* recognise_layout(const OfficialFolder& folder);

// The layout called `name`, or where that is empty the first for these kinds. Throws Error(kConfig) when there is none.
const OfficialLayout& layout_for(const std::vector<MethodEntry>& entries, const std::string& name);

std::vector<std::string> official_peft_types();  // but LORA, each once

// official/smore.cpp
bool smore_recognises(const OfficialFolder& folder);
bool smore_shared_recognises(const OfficialFolder& folder);
Json smore_read(const OfficialFolder& folder);
bool smore_suits(const std::vector<MethodEntry>& entries);
bool smore_shared_suits(const std::vector<MethodEntry>& entries);
Json smore_write(const OfficialExport& from);
std::vector<std::string> smore_copies(const OfficialExport& from, const std::string& official);

// official/trex.cpp
bool trex_recognises(const OfficialFolder& folder);
Json trex_read(const OfficialFolder& folder);
bool trex_suits(const std::vector<MethodEntry>& entries);
Json trex_write(const OfficialExport& from);

// official/mixlora.cpp
bool mixlora_recognises(const OfficialFolder& folder);
Json mixlora_read(const OfficialFolder& folder);
bool mixlora_suits(const std::vector<MethodEntry>& entries);
Json mixlora_write(const OfficialExport& from);

// official/mola.cpp
bool mola_recognises(const OfficialFolder& folder);
Json mola_read(const OfficialFolder& folder);
bool mola_suits(const std::vector<MethodEntry>& entries);
Json mola_write(const OfficialExport& from);

// official/moe_peft.cpp: what MoE-PEFT calls plug-ins
bool moe_peft_mola_recognises(const OfficialFolder& folder);
bool moe_peft_loramoe_recognises(const OfficialFolder& folder);
bool dynmole_recognises(const OfficialFolder& folder);
Json moe_peft_mola_read(const OfficialFolder& folder);
Json moe_peft_loramoe_read(const OfficialFolder& folder);
Json dynmole_read(const OfficialFolder& folder);
bool moe_peft_mola_suits(const std::vector<MethodEntry>& entries);
bool moe_peft_loramoe_suits(const std::vector<MethodEntry>& entries);
bool dynmole_suits(const std::vector<MethodEntry>& entries);
Json moe_peft_mola_write(const OfficialExport& from);
Json moe_peft_loramoe_write(const OfficialExport& from);
Json dynmole_write(const OfficialExport& from);

// official/loramoe.cpp: LoRAMoE and HydraLoRA
bool loramoe_recognises(const OfficialFolder& folder);
bool hydralora_recognises(const OfficialFolder& folder);
Json loramoe_read(const OfficialFolder& folder);
Json hydralora_read(const OfficialFolder& folder);
bool loramoe_suits(const std::vector<MethodEntry>& entries);
bool hydralora_suits(const std::vector<MethodEntry>& entries);
Json loramoe_write(const OfficialExport& from);
Json hydralora_write(const OfficialExport& from);

// official/moslora.cpp
bool moslora_recognises(const OfficialFolder& folder);
Json moslora_read(const OfficialFolder& folder);
bool moslora_suits(const std::vector<MethodEntry>& entries);
Json moslora_write(const OfficialExport& from);

// official/adamole.cpp: AdaMoLE, and MoLE of the same code
bool adamole_recognises(const OfficialFolder& folder);
Json adamole_read(const OfficialFolder& folder);
bool adamole_suits(const std::vector<MethodEntry>& entries);
Json adamole_write(const OfficialExport& from);

// official/moelora.cpp
bool moelora_recognises(const OfficialFolder& folder);
Json moelora_read(const OfficialFolder& folder);
bool moelora_suits(const std::vector<MethodEntry>& entries);
Json moelora_write(const OfficialExport& from);

inline constexpr OfficialLayout kOfficialLayouts[] = {
    {"smore", "HIER_MOE", smore_recognises, smore_read, smore_suits, smore_write},
    {"smore_shared", "HIER_MOE", smore_shared_recognises, smore_read, smore_shared_suits, smore_write, smore_copies},
    {"trex", "LORA", trex_recognises, trex_read, trex_suits, trex_write},
    {"mixlora", "MIXLORA", mixlora_recognises, mixlora_read, mixlora_suits, mixlora_write},
    {"mola", "LORA", mola_recognises, mola_read, mola_suits, mola_write},
    {"mola_moe_peft", "MOLA", moe_peft_mola_recognises, moe_peft_mola_read, moe_peft_mola_suits, moe_peft_mola_write},
    {"loramoe", "LORA", loramoe_recognises, loramoe_read, loramoe_suits, loramoe_write},
    {"loramoe_moe_peft", "LORAMOE", moe_peft_loramoe_recognises, moe_peft_loramoe_read, moe_peft_loramoe_suits,
     moe_peft_loramoe_write},
    {"hydralora", "LORA", hydralora_recognises, hydralora_read, hydralora_suits, hydralora_write},
    {"moslora", "LORA", moslora_recognises, moslora_read, moslora_suits, moslora_write},
    {"adamole", "ADAMOLE, MOLE", adamole_recognises, adamole_read, adamole_suits, adamole_write},
    {"moelora", "MMOELORA", moelora_recognises, moelora_read, moelora_suits, moelora_write},
    {"dynmole", "DYNMOLE", dynmole_recognises, dynmole_read, dynmole_suits, dynmole_write},
};

}  // namespace morex::adapters
