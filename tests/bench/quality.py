from tests.bench.setting import Setting
def run(setting: Setting) -> dict[str, float]:
    return {}
