"""Made-up people and firms. Any likeness to a real one is chance."""

FIRST = (
    "Ada Aisha Alma Amir Ana Anton Aoife Arjun Astrid Beatriz Bram Camille Carla Chen Clara Daan Dana "
    "Dario Dina Edo Elif Elsa Emil Emre Enzo Esra Eva Ewa Farid Fatou Felix Femke Freya Gita Giulia "
    "Greta Gustav Hana Hanna Helena Henrik Hugo Ida Igor Ilse Ines Ingrid Iris Isla Ivan Jade Jan Jens "
    "Joana Jonas Jorge Kaja Karim Katya Kemal Kenji Kofi Lars Lea Leila Lena Linh Lior Lotte Lucía Luka "
    "Mads Maja Malik Marek Maria Marta Mateo Maya Mei Mila Minh Mira Nadia Nils Noor Nora Olga Omar "
    "Oscar Otto Paul Petra Pia Priya Rafael Rana Rasmus Rosa Ruth Salma Samir Sara Selma Signe Sofia "
    "Stefan Sven Tamar Tariq Tea Tendai Tom Uma Vera Viktor Wanda Xenia Yara Yuki Yusuf Zanele Zofia "
    "Zoë"
).split()

LAST = (
    "Aalto Abbas Adler Almeida Andersen Antoni Bakker Baumann Becker Bello Berg Bianchi Blom Bondar "
    "Brandt Byrne Carvalho Castro Chen Costa Dahl Dlamini Duarte Dubois Dvořák Ekström Eriksen Farkas "
    "Ferrer Fischer Fontaine Garcia Girard Grant Gupta Haas Hansen Hartmann Herrera Holm Horvat Ibrahim "
    "Ito Ivanov Jansen Jensen Kaya Karimi Kim Klein Koch Kowalska Kozak Kruger Kumar Lang Larsen "
    "Laurent Lehmann Lindgren Lis Lopes Lund Maas Mäkinen Marino Martin Mensah Meyer Mikkelsen Molnár "
    "Moreau Moyo Müller Nagy Nielsen Nowak Nygård Okoye Olsen Park Patel Pavlov Peeters Pereira Petrov "
    "Popescu Prieto Quist Rahman Raman Reid Ricci Rossi Roux Ruiz Sato Schmidt Schneider Silva Simon "
    "Singh Solheim Sousa Stein Svensson Tan Tanaka Tóth Trần Vidal Virtanen Visser Vogel Wagner Weber "
    "Weiss Werner Wolff Yılmaz Zhang Zieliński"
).split()

FIRM_HEAD = (
    "Adria Aegean Alpen Alster Amber Arctic Atlas Aurora Baltic Bergen Birke Boreal Brenner Cedar "
    "Cobalt Coral Dalen Danube Delta Douro Eider Elbe Ember Fjord Fontana Gamla Garda Halden Hansa "
    "Harbour Heron Isar Jutland Karst Kestrel Lagan Laguna Levant Linden Lofot Loire Lumen Maas Malm "
    "Marl Meander Mistral Nexa Nordic Oder Olive Orla Pennine Polder Porto Rhône Riga Rila Saimaa Sava "
    "Savoy Sierra Skagen Sola Sorrel Strait Sund Tagus Tatra Taunus Tern Tisza Umber Valley Vardar "
    "Vätter Vega Verde Vesta Vistula Volta Waal Weser Wicklow Zephyr"
).split()

FIRM_TAIL: dict[str, list[str]] = {
    "Transport and logistics": [
        "Freight",
        "Logistik",
        "Parcels",
        "Cargo",
        "Transport",
        "Haulage",
        "Couriers",
    ],
    "Food and beverages": ["Foods", "Beverages", "Dairy", "Fisk", "Bakery", "Tea", "Provisions"],
    "Retail": ["Stores", "Retail", "Market", "Outfitters", "Home", "Garden"],
    "Manufacturing": ["Pumps", "Steel", "Glass", "Tools", "Packaging", "Paper", "Timber", "Ceramics"],
    "Software": ["Software", "Systems", "Labs", "Digital"],
    "Consulting": ["Advisory", "Partners", "Consulting"],
    "Education": ["Academy", "College", "Institute"],
    "Construction": ["Bau", "Builders", "Cement", "Homes"],
    "Health": ["Care", "Clinics", "Pharma", "Medical"],
}

CITIES: dict[str, list[str]] = {
    "Germany": ["Hamburg", "Berlin", "Leipzig", "Bremen", "Köln", "Stuttgart", "München"],
    "Netherlands": ["Rotterdam", "Utrecht", "Eindhoven"],
    "Denmark": ["Aarhus", "Odense", "København"],
    "Sweden": ["Malmö", "Göteborg", "Uppsala"],
    "Norway": ["Bergen", "Tromsø", "Oslo"],
    "France": ["Lille", "Lyon", "Annecy", "Tours"],
    "Spain": ["Sevilla", "Bilbao", "Valencia"],
    "Italy": ["Como", "Torino", "Bologna"],
    "Poland": ["Gdynia", "Poznań", "Wrocław"],
    "Austria": ["Linz", "Graz", "Wien"],
    "United Kingdom": ["Leeds", "Bristol", "Hull"],
    "Brazil": ["São Paulo", "Curitiba"],
    "India": ["Pune", "Chennai"],
    "Japan": ["Osaka", "Nagoya"],
    "United States": ["Denver", "Austin"],
}

SENIOR = (
    "VP Operations",
    "VP Supply Chain",
    "VP Logistics",
    "COO",
    "CEO",
    "CFO",
    "Chief Supply Chain Officer",
    "Owner",
    "Founder",
)
BUDGET = (
    "Director of Logistics",
    "Head of Operations",
    "Head of Transport",
    "Director of Supply Chain",
    "Head of Fulfilment",
)
MIDDLE = (
    "Logistics Manager",
    "Operations Manager",
    "Fleet Manager",
    "Transport Manager",
    "Team Lead Dispatch",
    "Warehouse Manager",
)
JUNIOR = (
    "Dispatcher",
    "Planner",
    "Analyst",
    "Project Assistant",
    "Buyer",
    "Controller",
    "Business Developer",
)
NOBODY = ("Student", "Intern Logistics", "PhD student", "Professor of Logistics")
