from django.apps import AppConfig


class ScoringConfig(AppConfig):
    name = "scoring"

    def ready(self) -> None:
        from scoring import release
        from scoring.advising import looking
        from scoring.backtesting import runs
        from scoring.whatif import runs as looks

        release.register()
        runs.register()
        looks.register()
        looking.register()
